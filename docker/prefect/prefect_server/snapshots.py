"""Copies of Prefect's schema that `migrate` keeps before it changes it, and the way back to one.

A copy is a schema of its own, `prefect_before_3_8_8`, made in one transaction: it is there whole or not at all. What is
known of it stands in the schema's comment as JSON, so it is never apart from it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from prefect_server import preflight, schema, schema_copy
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.schema import SNAPSHOT_MARK, Layout, quote_name
from prefect_server.schema_copy import Place
from prefect_server.settings import ServerSettings

_LONGEST_NAME = 63
_MEGABYTE = 1024 * 1024
# Supabase makes a full database read-only, so the last tenth is never used.
_USABLE = 0.9
_ALL = """
SELECT nspname, obj_description(oid, 'pg_namespace') AS note FROM pg_namespace
WHERE obj_description(oid, 'pg_namespace') LIKE '{%' || $1 || '%'
"""
SETTINGS = """
SELECT set_config(name, value, true)
FROM (VALUES ('statement_timeout', '0'), ('client_connection_check_interval', '2s')) AS wanted (name, value)
JOIN pg_settings USING (name)
"""
"""For a transaction that may take long. A session whose client is gone then ends soon, and not with its statement."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A copy and what is known of it.

    Attributes:
        name: of its schema.
        of: the schema that was copied.
        revision: of the tables in it.
        upgrade_to: the version of Prefect whose upgrade it was made before, or that it holds the tables of.
        head: the revision that the upgrade leads to.
        image: what ran with these tables, empty when that is not known.
        leads_to: the image that ran before that one; only where a restore has set the tables aside.
        made_at: ISO 8601, by the database's clock.
        size: bytes.
        rows: table to number of rows.
        definitions: SHA-256 of the tables' definitions.
        finished: the upgrade that it was made before has ended well.
    """

    name: str
    of: str
    revision: str
    upgrade_to: str
    head: str
    image: str
    made_at: str
    leads_to: str = ""
    size: int
    rows: Mapping[str, int]
    definitions: str
    finished: bool

    @property
    def words(self) -> str:
        """Name, revision, time and size for people."""
        return (
            f'"{self.name}" (revision {self.revision}, {sum(self.rows.values())} rows, '
            f"{self.size / _MEGABYTE:.1f} MB, {self.made_at})"
        )


async def all_of(connection: Any, name: str) -> list[Snapshot]:
    """Return the copies of a schema, oldest first."""
    found = []
    for row in await connection.fetch(_ALL, SNAPSHOT_MARK):
        try:
            note = json.loads(row["note"])
            if note.pop("kind") == SNAPSHOT_MARK and note["of"] == name:
                found.append(Snapshot(name=row["nspname"], **note))
        except (ValueError, TypeError, KeyError):  # a comment of somebody else's
            continue
    return sorted(found, key=lambda each: each.made_at)


async def write_note(connection: Any, snapshot: Snapshot) -> None:
    """Write what is known of a copy."""
    note = {"kind": SNAPSHOT_MARK} | {key: value for key, value in asdict(snapshot).items() if key != "name"}
    await connection.execute(
        await connection.fetchval(
            "SELECT format('COMMENT ON SCHEMA %I IS %L', $1::text, $2::text)", snapshot.name, json.dumps(note)
        )
    )


def place_of(layout: Layout) -> Place:
    """Return where Prefect's tables are; in `public` other applications' may be there too."""
    only = None
    if layout.schema == "public":
        only = schema_copy.tables_of_prefect(schema.prefect_migrations(preflight.prefect_folder()))
    return Place(schema=layout.schema, trgm=layout.trgm, only=only)


async def take(connection: Any, settings: ServerSettings, layout: Layout, say: Callable[[str], None]) -> None:
    """Keep a copy when the upgrade is going to change the schema.

    Raises:
        VerbError: it would not fit, or could not be made. Nothing was changed.
    """
    head = schema.installed_revisions(schema.prefect_migrations(preflight.prefect_folder())).head
    if not layout.has_tables or layout.revision in {None, head}:
        return
    if not settings.keep_snapshots:
        say("the schema is going to change and no copy of it is kept (database.keepSnapshots is 0)")
        return
    kept = await all_of(connection, layout.schema)
    begun = [each for each in kept if each.head == head and not each.finished]
    if begun and begun[-1].revision != layout.revision:
        say(f"an upgrade that was interrupted goes on; the copy from before it is {begun[-1].words}")
        return
    try:
        await _take(connection, settings, layout, head, say)
    except asyncpg.InsufficientPrivilegeError as error:
        grant = f"GRANT CREATE ON DATABASE {quote_name(settings.database.name)} TO {quote_name(settings.database.user)}"
        raise VerbError(
            ExitCode.MISSING_PRIVILEGE,
            f'could not copy schema "{layout.schema}" before its upgrade: {error}; an admin must run: {grant}; '
            "or set database.keepSnapshots: 0, after a backup",
        ) from error
    except asyncpg.DiskFullError as error:
        raise _too_large(layout.schema, "the database's disk is full") from error
    except (asyncpg.PostgresError, schema_copy.CopyError) as error:
        raise VerbError(
            ExitCode.OTHER,
            f'could not copy schema "{layout.schema}" before its upgrade: {error}; nothing was changed; '
            "make a backup and set database.keepSnapshots: 0 to go on without",
        ) from error


async def _take(
    connection: Any, settings: ServerSettings, layout: Layout, head: str, say: Callable[[str], None]
) -> None:
    source = place_of(layout)
    kept = await all_of(connection, layout.schema)
    # Of the same state: an attempt that ended before anything was changed.
    again = [each for each in kept if each.head == head and not each.finished]
    older = [each for each in kept if each not in again]
    outdated = [*again, *older[: max(0, len(older) - settings.keep_snapshots + 1)]]
    remaining = await _make_room(connection, settings, source, outdated, say)
    if remaining is None:
        return
    name = await free_name(
        connection, layout.schema, f"_before_{in_a_name(version('prefect'))}", [e.name for e in again]
    )
    for thing in await schema_copy.left_out(connection, source):
        say(f"not copied, because Prefect did not make it: {thing}")
    # One look at all tables, while the old server goes on; and all of it or nothing.
    async with connection.transaction(isolation="repeatable_read"):
        await connection.execute(SETTINGS)
        for each in remaining:
            await drop(connection, each, say)
        target = Place(schema=name, trgm=layout.trgm)
        say(f'copying schema "{layout.schema}" to "{name}" before it is changed')
        rows = await schema_copy.copy(connection, source, target)
        made = Snapshot(
            name=name,
            of=layout.schema,
            revision=str(layout.revision),
            upgrade_to=version("prefect"),
            head=head,
            image=settings.image_before,
            made_at=await now(connection),
            size=await schema_copy.size_of(connection, target),
            rows=rows,
            definitions=(await schema_copy.describe(connection, target)).fingerprint,
            finished=False,
        )
        await write_note(connection, made)
    say(f"kept a copy, {made.words}")


async def _make_room(
    connection: Any, settings: ServerSettings, source: Place, outdated: Sequence[Snapshot], say: Callable[[str], None]
) -> Sequence[Snapshot] | None:
    """See that there is room for a copy.

    Returns:
        What the copy replaces and is still there; None: no copy is to be made.

    Raises:
        VerbError: there is no room, and the settings say that the upgrade has to wait.
    """
    usable = settings.database_limit_mb * _MEGABYTE * _USABLE
    needed = await schema_copy.size_of(connection, source)
    used = await connection.fetchval("SELECT pg_database_size(current_database())")
    if not usable or used + needed <= usable:
        return outdated
    if used + needed - sum(each.size for each in outdated) <= usable:
        # They go anyway; their room is needed before.
        async with connection.transaction():
            for each in outdated:
                await drop(connection, each, say)
        return ()
    why = (
        f"it needs up to {needed / _MEGABYTE:.0f} MB, {used / _MEGABYTE:.0f} MB of at most "
        f"{settings.database_limit_mb} MB are in use, and a tenth is left free"
    )
    if settings.snapshot_too_large == "skip":
        say(f'no copy of schema "{source.schema}" is kept: {why}')
        return None
    raise _too_large(source.schema, why)


def _too_large(name: str, why: str) -> VerbError:
    return VerbError(
        ExitCode.SNAPSHOT_TOO_LARGE,
        f'could not copy schema "{name}" before its upgrade: {why}; nothing was changed; make a backup '
        "and set database.whenTooLarge: skip, or raise database.sizeLimitMb if there is more room",
    )


async def drop(connection: Any, snapshot: Snapshot, say: Callable[[str], None]) -> None:
    """Remove a copy."""
    await connection.execute(f"DROP SCHEMA {quote_name(snapshot.name)} CASCADE")
    say(f"removed the copy {snapshot.words}")


async def finish(connection: Any, name: str, head: str) -> None:
    """Note that the upgrade to `head` has ended well."""
    for each in await all_of(connection, name):
        if each.head == head and not each.finished:
            await write_note(connection, replace(each, finished=True))


async def free_name(connection: Any, of: str, ending: str, gone: Sequence[str] = ()) -> str:
    """Return a name for a copy that no schema has, `gone` aside; Postgres cuts names after 63 characters."""
    taken = {row[0] for row in await connection.fetch("SELECT nspname FROM pg_namespace")} - set(gone)
    endings = [ending, *(f"{ending}_{number}" for number in range(2, len(taken) + 3))]
    return next(name for each in endings if (name := f"{of[: _LONGEST_NAME - len(each)]}{each}") not in taken)


async def now(connection: Any) -> str:
    """Return the database's time."""
    moment = await connection.fetchval("SELECT date_trunc('milliseconds', clock_timestamp())")
    return str(moment.isoformat())


def in_a_name(text: str) -> str:
    """Return a version as a part of a schema's name."""
    return "".join(char if char.isalnum() else "_" for char in text.lower())
