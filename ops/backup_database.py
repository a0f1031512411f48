"""Prefect's tables out of a database into a file, and back; all of them as of one moment, and all or nothing."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from ops.backup_file import BackupWriter, Manifest, Table, TableWriter, megabytes, rows_of
from ops.database_access import DatabaseAccess
from ops.errors import OpsError
from ops.named_context import NamedContext
from ops.relay_listener import LOOPBACK, RelayedPort

_CONNECT_SECONDS = 15.0
_RELAYED_SECONDS = 180.0  # a relay is asked once a second, and a new connection takes about eight questions
_SAY_EVERY = 5.0
_SESSIONS_END_WITHIN = 20
# What COPY writes must not depend on the role's or the database's settings.
_SETTINGS = """
SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '60s'; SET LOCAL datestyle = 'ISO';
SET LOCAL intervalstyle = 'postgres'; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = 'hex'
"""
_TABLES = """
SELECT relname, array_agg(attname::text ORDER BY attnum) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
WHERE nspname = $1 AND relkind = 'r' GROUP BY relname ORDER BY relname
"""
_FOREIGN_KEYS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS drop,
       format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(k.oid)) AS add
FROM pg_constraint k JOIN pg_namespace n ON n.oid = connamespace WHERE nspname = $1 AND contype = 'f' ORDER BY conname
"""
_SERVERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name IN ('prefect-fly-serve ' || $1, 'prefect-fly-services ' || $1)
"""

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class _Way:
    """What the driver connects to, and the seconds that this may take; `relayed` is None without a relay."""

    host: str
    port: int
    tls: Any
    seconds: float
    relayed: RelayedPort | None = None

    def broken(self, instead: OpsError) -> OpsError:
        """Return why the way broke, which matters more than what the driver saw of it."""
        return (self.relayed and self.relayed.failure) or instead


@asynccontextmanager
async def _way_to(access: DatabaseAccess) -> AsyncIterator[_Way]:
    if access.relay is None:
        tls: Any = "require" if access.tls else "prefer"
        tls = ssl.create_default_context(cadata=access.ca) if access.ca else tls
        yield _Way(host=access.host, port=access.port, tls=tls, seconds=_CONNECT_SECONDS)
        return
    async with RelayedPort(access.relay, access.place).listening() as relayed:
        tls = NamedContext.of(access.host, access.ca) if access.ca or access.tls else "prefer"
        yield _Way(host=LOOPBACK, port=relayed.number, tls=tls, seconds=_RELAYED_SECONDS, relayed=relayed)


@asynccontextmanager
async def connected(access: DatabaseAccess) -> AsyncIterator[Any]:
    """Lend a connection.

    Raises:
        OpsError: the database cannot be reached or refuses, or a statement of the block failed.
    """
    async with _way_to(access) as way:
        try:
            connection = await asyncpg.connect(
                host=way.host,
                port=way.port,
                user=access.user,
                password=access.password,
                database=access.name,
                ssl=way.tls,
                timeout=way.seconds,
                server_settings={"application_name": "prefect-fly-backup"},
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise way.broken(_unreachable(access, error)) from error
        try:
            yield connection
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            again = "Run it again; a restore is done as a whole or not at all."
            instead = OpsError(f"could not go on with {access.place}: {error}. {again}")
            raise way.broken(instead) from error
        finally:
            await connection.close(timeout=way.seconds)


def _unreachable(access: DatabaseAccess, error: Exception) -> OpsError:
    advice = (
        "A Supabase direct host has only IPv6: from a network without it set DATABASE_URL to the session pooler's "
        "address (port 5432). Where only the server's own network reaches it, add --reach machine."
    )
    advice = advice if access.relay is None else "The server's machine reaches it: check the URL's other parts."
    return OpsError(f"could not reach {access.place}: {str(error) or type(error).__name__}. {advice}")


async def save(access: DatabaseAccess, writer: BackupWriter, say: Say) -> Manifest:
    """Write all tables.

    Raises:
        OpsError: there are none, or the database failed.
    """
    async with connected(access) as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(_SETTINGS)
        columns = await _columns(connection, access)
        revision = await _revision(connection, access)
        filled, tables = await _filled(connection, access, list(columns)), []
        for name, names in columns.items():
            with writer.table(name) as taken:
                progress = _Progress(name, taken, say)
                query = f"SELECT {', '.join(map(_quote, names))} FROM {_quote(access.schema)}.{_quote(name)}"  # noqa: S608 - quoted
                if name in filled:
                    await connection.copy_from_query(query, output=progress.write)
            progress.done()
            tables.append(Table(name=name, columns=names, rows=taken.rows, size=taken.size, sha256=taken.sha256))
        moment = await connection.fetchval("SELECT date_trunc('seconds', now())")
    manifest = Manifest(schema=access.schema, revision=revision, made_at=moment.isoformat(), tables=tables)
    writer.finish(manifest)
    return manifest


class _Progress:
    """Says how far a table is: its rows, megabytes and seconds."""

    def __init__(self, table: str, taken: TableWriter, say: Say) -> None:
        self._table, self._taken, self._say = table, taken, say
        self._began = self._said = time.monotonic()

    async def write(self, piece: bytes) -> None:
        await self._taken.write(piece)
        if time.monotonic() - self._said > _SAY_EVERY:
            self._said = time.monotonic()
            self._say(self._words)

    @property
    def _words(self) -> str:
        seconds = time.monotonic() - self._began
        return f"{self._table}: {self._taken.rows} rows, {megabytes(self._taken.size)}, {seconds:.1f} s"

    def done(self) -> None:
        if self._taken.rows:
            self._say(self._words)


async def _columns(connection: Any, access: DatabaseAccess) -> dict[str, list[str]]:
    if access.schema == "public":
        raise OpsError(
            "could not tell Prefect's tables in schema \"public\" from other applications'. Use pg_dump, as "
            "docs/upgrade.md says. Nothing was changed."
        )
    found = {row["relname"]: list(row["columns"]) for row in await connection.fetch(_TABLES, access.schema)}
    if not {"alembic_version", "flow_run"} <= found.keys():
        raise OpsError(
            f'could not find Prefect\'s tables in schema "{access.schema}" of {access.place}. Run "pulumi up" first, '
            "which builds them. Nothing was changed."
        )
    return found


async def _revision(connection: Any, access: DatabaseAccess) -> str:
    table = f"{_quote(access.schema)}.alembic_version"
    return str(await connection.fetchval(f"SELECT version_num FROM {table}"))  # noqa: S608 - quoted


async def _filled(connection: Any, access: DatabaseAccess, names: Sequence[str]) -> set[str]:
    """Return which tables have rows, by one question: through a relay each takes a second."""
    schema = _quote(access.schema)
    looks = [
        f"SELECT {number} AS number WHERE EXISTS (SELECT FROM {schema}.{_quote(name)})"  # noqa: S608 - quoted
        for number, name in enumerate(names)
    ]
    return {names[row["number"]] for row in await connection.fetch(" UNION ALL ".join(looks))}


async def require_fitting(access: DatabaseAccess, manifest: Manifest, *, replace: bool) -> None:
    """Refuse a database that the file does not fit into; changes nothing.

    Raises:
        OpsError: it has another revision, other tables, or runs that nobody allowed to replace.
    """
    async with connected(access) as connection:
        await _require_fitting(connection, access, manifest, replace=replace)


async def _require_fitting(
    connection: Any, access: DatabaseAccess, manifest: Manifest, *, replace: bool
) -> Mapping[str, Sequence[str]]:
    columns, revision = await _columns(connection, access), await _revision(connection, access)
    if revision != manifest.revision:
        raise OpsError(
            f'could not restore schema "{access.schema}": the backup has revision {manifest.revision} and the schema '
            f"{revision}. Deploy the image that the backup was made with (image.reference) on an empty schema first. "
            "Nothing was changed."
        )
    saved = {table.name: list(table.columns) for table in manifest.tables}
    differing = sorted(name for name in columns.keys() | saved.keys() if columns.get(name) != saved.get(name))
    if differing:
        raise OpsError(
            f'could not restore schema "{access.schema}": {", ".join(differing)} differ from the backup\'s. '
            "Remove what is not Prefect's. Nothing was changed."
        )
    table = f"{_quote(access.schema)}.flow_run"
    runs = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608 - quoted
    if runs and not replace:
        raise OpsError(
            f'could not restore schema "{access.schema}": it holds {runs} flow runs. Add --replace to throw them away, '
            'after "python -m ops backup". Nothing was changed.'
        )
    return columns


async def load(access: DatabaseAccess, path: Path, manifest: Manifest, say: Say, *, replace: bool) -> None:
    """Put the file's rows in the place of those that are there, in one transaction.

    Raises:
        OpsError: a server or a migration is at work, the file does not fit, or a row did not arrive.
    """
    async with connected(access) as connection, connection.transaction():
        await connection.execute(_SETTINGS)
        lock = "SELECT pg_try_advisory_xact_lock(hashtext('prefect-fly'), hashtext($1))"
        if not await connection.fetchval(lock, access.schema):
            raise OpsError(f'could not restore schema "{access.schema}": a migration runs. Wait for its end.')
        await _require_no_server(connection, access)
        await _require_fitting(connection, access, manifest, replace=replace)
        keys = await connection.fetch(_FOREIGN_KEYS, access.schema)
        names = ", ".join(f"{_quote(access.schema)}.{_quote(table.name)}" for table in manifest.tables)
        # Few questions: the server is stopped meanwhile, and through a relay each takes a second.
        await connection.execute("; ".join([*(key["drop"] for key in keys), f"TRUNCATE {names}"]))
        for table in manifest.tables:
            if table.rows:
                await _load_table(connection, access, path, table, say)
        # Checked anew: a row that leads nowhere fails here.
        await connection.execute("; ".join(key["add"] for key in keys))


async def _require_no_server(connection: Any, access: DatabaseAccess) -> None:
    # A machine that was stopped a moment ago may still have its sessions.
    for _ in range(_SESSIONS_END_WITHIN * 2):
        sessions = await connection.fetchval(_SERVERS, access.schema)
        if not sessions:
            return
        # Within a transaction the view stays as it was first seen, unless told so.
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        await asyncio.sleep(0.5)
    raise OpsError(
        f'could not restore schema "{access.schema}": a server still uses it ({sessions} sessions). Stop it first. '
        "Nothing was changed."
    )


async def _load_table(connection: Any, access: DatabaseAccess, path: Path, table: Table, say: Say) -> None:
    began = time.monotonic()
    with rows_of(path, table) as stream:
        done = await connection.copy_to_table(
            table.name, schema_name=access.schema, columns=list(table.columns), source=stream, format="text"
        )
    if done != f"COPY {table.rows}":
        raise OpsError(
            f'could not restore table "{table.name}": {done.removeprefix("COPY ")} of {table.rows} rows arrived. '
            "Run it again. Nothing was changed."
        )
    say(f"{table.name}: {table.rows} rows, {megabytes(table.size)}, {time.monotonic() - began:.1f} s")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
