"""The verb `migrate`: bring the database to what this image needs, and prove it.

Prefect's own command trusts what it is given: it builds in `public` where the schema is missing, shares the tables of
another Prefect it happens to see, and ends with 1 whatever went wrong. So everything is looked at before and after,
under an advisory lock, and each cause has a code and a sentence of its own.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from prefect_server import database, own_tables, preflight, schema, snapshots
from prefect_server.collector import paused_collector
from prefect_server.environment import prefect_environment, scratch_folder
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.launch import load_prefect_settings, read_settings
from prefect_server.long_verbs import say, take_lock, time_limit
from prefect_server.schema import Layout, quote_name
from prefect_server.settings import ServerSettings

EXTENSION = "pg_trgm"
# Supabase keeps extensions here, and lets its roles create them here.
EXTENSIONS_SCHEMA = "extensions"


def migrate(environ: Mapping[str, str]) -> int:
    """Create schema and extension where that is allowed, upgrade, register blocks, verify.

    Raises:
        VerbError: the database was left as it was, or at a revision from which a rerun goes on.
    """
    settings = read_settings(environ, needs_keys=False)
    with time_limit(settings, "migrate"):
        return asyncio.run(_migrate(settings))


async def _migrate(settings: ServerSettings) -> int:
    async with database.connection(settings) as lent:
        await take_lock(lent, settings.schema)
        before = await _prepare(lent, settings)
        await snapshots.take(lent, settings, before, say)
        await _upgrade(settings, before)
        await _make_own_tables(lent, settings)
        after = await _verify(lent, settings)
        others = [] if before.has_tables else await schema.other_prefects(lent, settings.schema)
        await snapshots.finish(lent, settings.schema, str(after.revision))
    say(f'schema "{after.schema}" is at {after.revision}, search_path {after.search_path}')
    if others:
        say(
            f'migrate: schema "{after.schema}" is new and empty, and {" and ".join(others)} in the same database holds '
            "the tables of another Prefect, which were left as they are"
        )
        return ExitCode.NEW_BESIDE_OTHERS
    return ExitCode.OK


async def _prepare(lent: Any, settings: ServerSettings) -> Layout:
    """Make sure that Prefect will build in our schema, or refuse."""
    layout = await schema.inspect(lent, settings.schema)
    if not layout.readable:
        raise _missing_privilege(settings, *_grants(settings, settings.schema))
    _require_ours(layout)
    # Both before Prefect's upgrade: a right that is missing is found while nothing is changed.
    for name in (settings.schema, own_tables.own_schema(settings.schema)):
        await _create_schema(lent, settings, name)
    if layout.trgm is None:
        place = await _extension_schema(lent, settings.schema)
        await _run(lent, settings, f"CREATE EXTENSION {EXTENSION} SCHEMA {quote_name(place)}")
        say(f'created extension {EXTENSION} in schema "{place}"')
    layout = await schema.inspect(lent, settings.schema)
    await _require_usable(lent, settings, layout)
    if not layout.has_version_table:
        # Alembic then finds this one first, and not another app's in a schema further down the search_path.
        table = f"{quote_name(settings.schema)}.{schema.VERSION_TABLE}"
        await _run(
            lent,
            settings,
            f"CREATE TABLE {table} (version_num VARCHAR(32) NOT NULL CONSTRAINT alembic_version_pkc PRIMARY KEY)",
        )
    return layout


def _require_ours(layout: Layout) -> None:
    """Refuse to touch what is not ours, and what a newer image has made.

    Raises:
        VerbError: another application's migrations are here, or a newer Prefect's.
    """
    name = layout.schema
    revisions = schema.installed_revisions(schema.prefect_migrations(preflight.prefect_folder()))
    if layout.revision is not None and layout.revision not in revisions.known:
        if not layout.has_tables:
            raise VerbError(
                ExitCode.FOREIGN_ALEMBIC,
                f'could not migrate schema "{name}": another application keeps its alembic_version there '
                f"({layout.revision}); set database.schema to a name of its own",
            )
        raise VerbError(
            ExitCode.SCHEMA_NEWER,
            f'could not migrate schema "{name}": it is at {layout.revision}, which is newer than this image '
            f"({revisions.head}); deploy the newer image again, or restore the backup made before its upgrade",
        )
    if layout.revision in revisions.of_prefect_2 and layout.has_tables:
        raise VerbError(
            ExitCode.PREFECT_2,
            f'could not migrate schema "{name}": a Prefect 2 made it ({layout.revision}), which could not use it any '
            "more; set database.schema to another name, and what is there stays as it is",
        )
    if name == "public" and not layout.has_tables:
        raise VerbError(
            ExitCode.TABLES_MISPLACED,
            'could not migrate schema "public": no Prefect is in it, and other applications build there; '
            "set database.schema to a name of its own",
        )
    if layout.has_tables and layout.revision is None:
        raise VerbError(
            ExitCode.TABLES_MISPLACED,
            f'could not migrate schema "{name}": it has a table flow_run but no revision; '
            "it is no Prefect of ours, set database.schema to another name",
        )
    # With pg_trgm in public the search_path must name public, and Prefect takes the tables and types it sees there.
    if name != "public" and layout.trgm == "public" and layout.public_tables and not layout.has_tables:
        raise VerbError(
            ExitCode.FOREIGN_ALEMBIC,
            'could not migrate: another Prefect is in schema "public", where pg_trgm is too, so they cannot be kept '
            "apart; an admin must run: ALTER EXTENSION pg_trgm SET SCHEMA extensions (create that schema first)",
        )


async def _create_schema(lent: Any, settings: ServerSettings, name: str) -> None:
    if await lent.fetchval("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", name):
        return
    await _run(lent, settings, f"CREATE SCHEMA {quote_name(name)}")
    say(f'created schema "{name}"')


async def _make_own_tables(lent: Any, settings: ServerSettings) -> None:
    """Bring our own tables to what this image needs.

    Raises:
        VerbError: the role may not, or a step failed; those before it stay.
    """
    try:
        for step in await own_tables.bring_up(lent, settings.schema):
            say(f"made {step}")
    except asyncpg.InsufficientPrivilegeError as error:
        raise _missing_privilege(settings, *_grants(settings, own_tables.own_schema(settings.schema))) from error
    except asyncpg.PostgresError as error:
        raise VerbError(ExitCode.OTHER, f"could not make the tables of our own: {error}") from error


async def _extension_schema(lent: Any, own: str) -> str:
    allowed = await lent.fetchval(
        "SELECT coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $1), false)",
        EXTENSIONS_SCHEMA,
    )
    return EXTENSIONS_SCHEMA if allowed else own


async def _require_usable(lent: Any, settings: ServerSettings, layout: Layout) -> None:
    """Check the rights that Prefect needs before it starts, as a half-made schema is no place to find out.

    Raises:
        VerbError: a right is missing; the sentence holds the SQL.
    """
    needed = {settings.schema: "CREATE"} | (
        {layout.trgm: "USAGE"} if layout.trgm not in {None, settings.schema} else {}
    )
    for name, right in needed.items():
        if not await lent.fetchval("SELECT has_schema_privilege($1, $2)", name, right):
            grant = "USAGE, CREATE" if right == "CREATE" else right
            raise _missing_privilege(
                settings, f"GRANT {grant} ON SCHEMA {quote_name(str(name))} TO {quote_name(settings.database.user)}"
            )


def _grants(settings: ServerSettings, schema_name: str) -> list[str]:
    """What makes a schema of somebody else's usable."""
    role, name = quote_name(settings.database.user), quote_name(schema_name)
    return [f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role}", f"GRANT ALL ON ALL TABLES IN SCHEMA {name} TO {role}"]


def _missing_privilege(settings: ServerSettings, *statements: str) -> VerbError:
    return VerbError(
        ExitCode.MISSING_PRIVILEGE,
        f'could not prepare database "{settings.database.name}": the role "{settings.database.user}" lacks a '
        f"privilege; an admin must run: {'; '.join(statements)}",
    )


async def _run(lent: Any, settings: ServerSettings, statement: str) -> None:
    """Run one statement.

    Raises:
        VerbError: the role may not.
    """
    try:
        await lent.execute(statement)
    except asyncpg.InsufficientPrivilegeError as error:
        role = quote_name(settings.database.user)
        names = [quote_name(name) for name in (settings.schema, own_tables.own_schema(settings.schema))]
        remedies = [f"CREATE SCHEMA IF NOT EXISTS {name} AUTHORIZATION {role}" for name in names]
        extension = f"CREATE EXTENSION IF NOT EXISTS {EXTENSION} SCHEMA {names[0]}"
        raise _missing_privilege(settings, *remedies, extension) from error
    except asyncpg.PostgresError as error:
        raise VerbError(
            ExitCode.OTHER, f"could not prepare the database: {statement.split(' (', maxsplit=1)[0]}: {error}"
        ) from error


async def _upgrade(settings: ServerSettings, layout: Layout) -> None:
    """Run Prefect's own migrations."""
    os.environ.update(
        prefect_environment(
            settings, search_path=layout.search_path, auth_string="unused", verb="migrate", scratch=scratch_folder()
        )
    )
    with paused_collector():
        load_prefect_settings()
        from prefect_server import prefect_database  # noqa: PLC0415 - Prefect reads its settings when it is imported

    say(f"upgrading from {layout.revision or 'nothing'}")
    try:
        await prefect_database.upgrade()
        # Here and once: API machines that start together on an empty database would fight over these rows.
        await prefect_database.register_blocks()
    except Exception as error:  # three libraries' own errors; each becomes one of ours, with its exit code
        raise _upgrade_failure(settings, error) from error


def _upgrade_failure(settings: ServerSettings, error: BaseException) -> VerbError:
    """Find what Postgres said below Alembic's, SQLAlchemy's and asyncpg's layers."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = getattr(cause, "orig", None) or cause.__cause__ or cause.__context__
    for each in chain:
        if isinstance(each, asyncpg.InsufficientPrivilegeError):
            return _missing_privilege(settings, *_grants(settings, settings.schema))
        if isinstance(each, TimeoutError):
            return VerbError(ExitCode.TIMEOUT, "could not migrate: a statement took too long; run it again")
    words = re.sub(r"\s+", " ", str(chain[-1]))[:300]
    return VerbError(ExitCode.OTHER, f"could not migrate: {type(chain[-1]).__name__}: {words}")


async def _verify(lent: Any, settings: ServerSettings) -> Layout:
    """Look where the tables really are.

    Raises:
        VerbError: not where they should be.
    """
    layout = await schema.inspect(lent, settings.schema)
    revisions = schema.installed_revisions(schema.prefect_migrations(preflight.prefect_folder()))
    if not layout.has_tables or layout.revision != revisions.head:
        raise VerbError(
            ExitCode.TABLES_MISPLACED,
            f'could not find Prefect\'s tables in schema "{settings.schema}" after the upgrade: '
            f"revision {layout.revision}, expected {revisions.head}",
        )
    return layout
