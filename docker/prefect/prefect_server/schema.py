"""Where in the database Prefect's tables are, and where they ought to be.

Prefect creates no schema: with a search_path that names a missing one it builds in `public` without a word, and where
`public` already holds a Prefect it builds nothing and uses that one. So the search_path holds the schema of our own
first, then only the schema that pg_trgm is in; `public` is kept out unless pg_trgm lives there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION_TABLE = "alembic_version"
SNAPSHOT_MARK = "prefect-fly snapshot 1"
"""Stands in the comment of a schema that is a copy of Prefect's (snapshots.py)."""

# The newest Postgres migration of prefect 2.20.27, the last of Prefect 2.
LAST_OF_PREFECT_2 = "b23c83a12cb4"
# The catalogue, and not to_regclass: that one fails on a schema the role may not use.
_LAYOUT = """
WITH relation AS (
    SELECT nspname, relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname IN ($1, 'public') AND relname IN ('alembic_version', 'flow_run')
), schema AS (SELECT oid FROM pg_namespace WHERE nspname = $1)
SELECT
    EXISTS (SELECT FROM schema) AS schema_exists,
    coalesce((SELECT has_schema_privilege(oid, 'USAGE') FROM schema), true)
        AND coalesce((SELECT has_table_privilege(oid, 'SELECT') FROM relation
                      WHERE nspname = $1 AND relname = 'alembic_version'), true) AS readable,
    EXISTS (SELECT FROM relation WHERE nspname = $1 AND relname = 'alembic_version') AS has_version_table,
    EXISTS (SELECT FROM relation WHERE nspname = $1 AND relname = 'flow_run') AS has_tables,
    EXISTS (SELECT FROM relation WHERE nspname = 'public' AND relname = 'flow_run') AS public_tables,
    (SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_trgm') AS trgm
"""
_OTHERS = """
SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname <> $1 AND relkind = 'r' AND relname IN ('alembic_version', 'flow_run', 'task_run')
  AND coalesce(obj_description(n.oid, 'pg_namespace'), '') NOT LIKE '%' || $2 || '%'
GROUP BY 1 HAVING count(*) = 3 ORDER BY 1
"""
_REVISION = re.compile(r"^(down_)?revision\s*=\s*['\"]([0-9a-z_]+)['\"]", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What was found in the database.

    `readable`: the role may use the schema, if it is there, and read the revision, if there is one. `trgm`: the schema
    that holds the extension pg_trgm.
    """

    schema: str
    schema_exists: bool
    readable: bool
    has_version_table: bool
    has_tables: bool
    public_tables: bool
    trgm: str | None
    revision: str | None

    @property
    def search_path(self) -> str:
        """The search_path that `migrate`, `serve` and `services` all use."""
        names = [self.schema] if self.trgm in {None, self.schema, "pg_catalog"} else [self.schema, str(self.trgm)]
        return ", ".join(quote_name(name) for name in names)


def quote_name(name: str) -> str:
    """Quote an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


async def inspect(connection: Any, schema: str) -> Layout:
    """Look at the database; changes nothing."""
    row = dict(await connection.fetchrow(_LAYOUT, schema))
    revision = None
    if row["has_version_table"] and row["readable"]:
        table = f"{quote_name(schema)}.{VERSION_TABLE}"
        revision = await connection.fetchval(f"SELECT version_num FROM {table}")  # noqa: S608 - quoted above
    return Layout(schema=schema, revision=revision, **row)


async def other_prefects(connection: Any, schema: str) -> list[str]:
    """Return the other schemas of this database that hold a Prefect's tables, copies of ours aside."""
    return [row["nspname"] for row in await connection.fetch(_OTHERS, schema, SNAPSHOT_MARK)]


@dataclass(frozen=True)
class Revisions:
    """The migrations that come with the installed Prefect.

    `of_prefect_2` are those that a server of Prefect 2 makes; the chain of Prefect 3 begins with them.
    """

    known: frozenset[str]
    head: str
    of_prefect_2: frozenset[str]


def installed_revisions(folder: Path) -> Revisions:
    """Read the migrations' chain from their files, without importing a hundred modules.

    Raises:
        ValueError: the files do not form one chain with one end.
    """
    before: dict[str, str | None] = {}
    for path in folder.glob("*.py"):
        found = {bool(down): revision for down, revision in _REVISION.findall(path.read_text())}
        if False in found:
            before[found[False]] = found.get(True)
    heads = before.keys() - set(before.values())
    if len(heads) != 1:
        raise ValueError(f"expected one newest migration in {folder.name}, found {sorted(heads)}")
    older: list[str] = []
    revision = LAST_OF_PREFECT_2 if LAST_OF_PREFECT_2 in before else None
    while revision is not None and revision not in older:
        older.append(revision)
        revision = before.get(revision)
    return Revisions(known=frozenset(before), head=heads.pop(), of_prefect_2=frozenset(older))


def prefect_migrations(package: Path) -> Path:
    """The folder of Prefect's Postgres migrations below its package folder; early 3.x had it under another name."""
    database = package / "server" / "database"
    folder = database / "_migrations"
    return (folder if folder.is_dir() else database / "migrations") / "versions" / "postgresql"
