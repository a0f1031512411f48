"""The verbs `snapshots` and `restore-snapshot`: which copies `migrate` kept, and the way back to one.

Going back exchanges two sets of tables in one transaction and copies nothing: those of now are set aside in a schema of
their own, from which they can be brought back in the same way. The tables of our own stay as they are, so that a key
that was revoked since stays revoked.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from prefect_server import database, schema, schema_copy, snapshots
from prefect_server.environment import application_name
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.launch import read_settings
from prefect_server.long_verbs import say, take_lock, time_limit
from prefect_server.schema import Layout, quote_name
from prefect_server.schema_copy import Place
from prefect_server.settings import ServerSettings
from prefect_server.snapshots import Snapshot

# A machine that was stopped a moment ago may still have its sessions.
SESSIONS_END_WITHIN = 20
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY($1)"


def list_snapshots(environ: Mapping[str, str]) -> int:
    """Print each copy, oldest first, as a line `snapshot: {…}`, and how many there are.

    Raises:
        VerbError: the database cannot be used.
    """
    settings = read_settings(environ, needs_keys=False)

    async def show() -> None:
        async with database.connection(settings) as connection:
            kept = await snapshots.all_of(connection, settings.schema)
        for each in kept:
            say(f"snapshot: {json.dumps(_brief(each))}")
        # Whoever reads a log has to know that no line was lost.
        say(f"snapshots: {len(kept)}")

    asyncio.run(show())
    return ExitCode.OK


def restore_snapshot(environ: Mapping[str, str]) -> int:
    """Bring back the copy that PREFECT_FLY_SNAPSHOT names, set aside what is there, and print `restored: {…}`.

    Raises:
        VerbError: it could not; nothing was changed.
    """
    settings = read_settings(environ, needs_keys=False)
    with time_limit(settings, "restore-snapshot"):
        name, image = environ.get("PREFECT_FLY_SNAPSHOT", ""), environ.get("PREFECT_FLY_IMAGE_AFTER", "")
        return asyncio.run(_restore(settings, name, image))


def _brief(snapshot: Snapshot) -> dict[str, object]:
    names = ("name", "revision", "upgrade_to", "head", "image", "leads_to", "made_at", "size")
    return {name: getattr(snapshot, name) for name in names} | {"rows": sum(snapshot.rows.values())}


async def _restore(settings: ServerSettings, name: str, image: str) -> int:
    async with database.connection(settings) as connection:
        await take_lock(connection, settings.schema)
        kept = {each.name: each for each in await snapshots.all_of(connection, settings.schema)}
        if name not in kept:
            there = ", ".join(each.words for each in kept.values()) or "none"
            raise VerbError(
                ExitCode.NO_SNAPSHOT,
                f'could not restore copy "{name}" of schema "{settings.schema}": there is none of that name; '
                f"there are: {there}",
            )
        await _require_no_server(connection, settings)
        layout = await schema.inspect(connection, settings.schema)
        try:
            chosen = replace(kept[name], image=image or kept[name].image)
            aside = await exchange(connection, settings, layout, chosen)
        except asyncpg.PostgresError as error:
            raise VerbError(ExitCode.OTHER, f'could not restore copy "{name}": {error}; nothing was changed') from error
    say(f"restored: {json.dumps(_brief(kept[name]) | {'aside': aside})}")
    return ExitCode.OK


async def _require_no_server(connection: Any, settings: ServerSettings) -> None:
    """Refuse while a server of this schema is connected.

    Raises:
        VerbError: one is.
    """
    names = [application_name(verb, settings.schema) for verb in ("serve", "services")]
    for _ in range(SESSIONS_END_WITHIN * 2):
        sessions = await connection.fetchval(_SESSIONS, names)
        if not sessions:
            return
        await asyncio.sleep(0.5)
    raise VerbError(
        ExitCode.SERVER_RUNNING,
        f'could not restore schema "{settings.schema}": a server still uses it ({sessions} sessions); stop the '
        "server's machines first; nothing was changed",
    )


async def exchange(connection: Any, settings: ServerSettings, layout: Layout, chosen: Snapshot) -> str:
    """Put the copy's tables into the schema and what is there into a new one, whose name is returned.

    Raises:
        VerbError: the copy is not what it was when it was made.
    """
    here = snapshots.place_of(layout)
    there = Place(schema=chosen.name, trgm=layout.trgm)
    async with connection.transaction():
        await connection.execute(snapshots.SETTINGS)
        await _require_whole(connection, there, chosen)
        if not layout.schema_exists:
            await connection.execute(f"CREATE SCHEMA {quote_name(layout.schema)}")
        aside = await _set_aside(connection, settings, layout, chosen) if layout.has_version_table else ""
        await schema_copy.move(connection, there, Place(schema=here.schema, trgm=here.trgm))
        # Without CASCADE: what somebody else has put there is not thrown away unseen.
        await connection.execute(f"DROP SCHEMA {quote_name(chosen.name)}")
        back = await schema.inspect(connection, layout.schema)
        if back.revision != chosen.revision:
            raise VerbError(ExitCode.OTHER, f'could not restore copy "{chosen.name}": its revision did not come back')
    return aside


async def _require_whole(connection: Any, place: Place, chosen: Snapshot) -> None:
    definitions = (await schema_copy.describe(connection, place)).fingerprint
    rows = await schema_copy.count_rows(connection, place, list(chosen.rows))
    differing = sorted(table for table in rows if rows[table] != chosen.rows[table])
    if definitions != chosen.definitions or differing:
        what = f"the rows of {', '.join(differing)}" if differing else "the definitions of its tables"
        raise VerbError(
            ExitCode.NO_SNAPSHOT,
            f'could not restore copy "{chosen.name}": {what} changed since it was made; nothing was changed; take '
            "another copy or a backup",
        )


async def _set_aside(connection: Any, settings: ServerSettings, layout: Layout, chosen: Snapshot) -> str:
    """Move the tables of now into a schema of their own, with a note like that of any copy."""
    here = snapshots.place_of(layout)
    ours = version("prefect")
    name = await snapshots.free_name(connection, layout.schema, f"_after_{snapshots.in_a_name(ours)}")
    aside = Place(schema=name, trgm=layout.trgm)
    await connection.execute(f"CREATE SCHEMA {quote_name(name)}")
    await schema_copy.move(connection, here, aside)
    made = await schema_copy.describe(connection, aside)
    note = Snapshot(
        name=name,
        of=layout.schema,
        revision=str(layout.revision),
        upgrade_to=ours,
        head=str(layout.revision),
        image=settings.image_before,
        leads_to=chosen.image,
        made_at=await snapshots.now(connection),
        size=await schema_copy.size_of(connection, aside),
        rows=await schema_copy.count_rows(connection, aside, list(made.rows)),
        definitions=made.fingerprint,
        finished=True,
    )
    await snapshots.write_note(connection, note)
    return name
