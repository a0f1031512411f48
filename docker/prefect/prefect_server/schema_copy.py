"""A whole copy of a schema in the same database, and moving everything from one schema into another.

Definitions are read from the catalogue while the search_path names the one schema, so that they come without its name,
and are run while it names the other. Read back from there they have to be the same words: that proves the copy whole.
What Prefect makes is copied: enum types, tables with their rows, indexes, constraints, and other roles' rights to the
tables. What somebody else has put there (views, triggers, policies) is named and left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_server.schema import VERSION_TABLE, quote_name

_MADE = re.compile(r"""(?:create_table|rename_table)\(\s*["'](\w+)["'](?:,\s*["'](\w+)["'])?""")
# $1: schema; $2: names of tables, or null for all. What an extension brought along is not part of it.
_TABLES = """
SELECT c.oid, c.relname, c.relowner, c.relacl, c.relrowsecurity, c.reloptions
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind = 'r' AND ($2::text[] IS NULL OR c.relname = ANY($2))
  AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""


def _of_tables(query: str) -> str:
    return f"WITH t AS ({_TABLES}) {query}"


_TYPES = _of_tables("""
SELECT typname, format('CREATE TYPE %I AS ENUM (%s)', typname, (
    SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
    FROM pg_enum WHERE enumtypid = y.oid)) AS sql
FROM pg_type y JOIN pg_namespace n ON n.oid = typnamespace
WHERE nspname = $1 AND typtype = 'e' AND ($2::text[] IS NULL OR EXISTS (
    SELECT FROM pg_attribute a JOIN t ON t.oid = attrelid WHERE a.atttypid IN (y.oid, y.typarray)))
ORDER BY typname
""")
_COLUMNS = _of_tables("""
SELECT relname, reloptions, relrowsecurity,
    array_agg(format('%I %s', attname, format_type(atttypid, atttypmod))
        || CASE WHEN attcollation <> typcollation THEN format(' COLLATE %I.%I', cn.nspname, collname) ELSE '' END
        || CASE WHEN attgenerated = 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', pg_get_expr(adbin, adrelid))
                WHEN adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(adbin, adrelid) ELSE '' END
        || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END ORDER BY attnum) AS columns,
    array_agg(quote_ident(attname) ORDER BY attnum) FILTER (WHERE attgenerated = '') AS names,
    array_agg(CASE WHEN tn.nspname = $1 THEN format('%I::text::%s', attname, format_type(atttypid, atttypmod))
                   ELSE quote_ident(attname) END ORDER BY attnum) FILTER (WHERE attgenerated = '') AS expressions
FROM t JOIN pg_attribute a ON attrelid = t.oid AND attnum > 0 AND NOT attisdropped
JOIN pg_type y ON y.oid = atttypid JOIN pg_namespace tn ON tn.oid = typnamespace
LEFT JOIN pg_attrdef ON adrelid = t.oid AND adnum = attnum
LEFT JOIN pg_collation l ON l.oid = attcollation LEFT JOIN pg_namespace cn ON cn.oid = collnamespace
GROUP BY relname, reloptions, relrowsecurity ORDER BY relname
""")
_INDEXES = _of_tables("""
SELECT pg_get_indexdef(indexrelid, 0, true) AS sql FROM t JOIN pg_index ON indrelid = t.oid
JOIN pg_class i ON i.oid = indexrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
ORDER BY i.relname
""")
# Foreign keys last: what they lead to must be unique by then.
_CONSTRAINTS = _of_tables("""
SELECT format('ALTER TABLE %I ADD CONSTRAINT %I %s', relname, conname, pg_get_constraintdef(k.oid, true)) AS sql
FROM t JOIN pg_constraint k ON conrelid = t.oid WHERE contype IN ('p', 'u', 'x', 'c', 'f')
ORDER BY contype = 'f', relname, conname
""")
_GRANTS = _of_tables("""
SELECT format('GRANT %s ON %I TO %s', privilege_type, relname,
    CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END) AS sql
FROM t, aclexplode(relacl) WHERE grantee NOT IN (relowner, current_user::regrole) ORDER BY 1
""")
_LEFT_OUT = _of_tables("""
SELECT format('trigger %I of %I', tgname, relname) FROM pg_trigger JOIN t ON tgrelid = t.oid WHERE NOT tgisinternal
UNION ALL SELECT format('policy %I of %I', polname, relname) FROM pg_policy JOIN t ON polrelid = t.oid
UNION ALL SELECT format('relation %I', relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = $1 AND $2::text[] IS NULL AND relkind NOT IN ('r', 'i', 'I', 't', 'c')
ORDER BY 1
""")
# A sequence that belongs to a table moves with it.
_RELATIONS = """
SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = $1 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ($2::text[] IS NULL OR relname = ANY($2))
  AND NOT EXISTS (
    SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype IN ('a', 'i', 'e'))
ORDER BY relname
"""
_NUMBERED = _of_tables("SELECT DISTINCT relname FROM t JOIN pg_attribute ON attrelid = t.oid WHERE attidentity <> ''")
_BYTES = _of_tables("SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM t")


class CopyError(Exception):
    """The copy is not what it was made from, or could not be; the text says what differs."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A schema, or a part of it.

    Attributes:
        schema: its name.
        trgm: the schema of the extension pg_trgm, whose operator classes the indexes use.
        only: names of tables, where other applications' tables are there as well; None for all.
    """

    schema: str
    trgm: str | None
    only: tuple[str, ...] | None = None

    @property
    def search_path(self) -> str:
        """What names are looked up in."""
        return ", ".join(quote_name(name) for name in dict.fromkeys((self.schema, self.trgm)) if name)

    def name(self, relation: str) -> str:
        """Return a relation's whole name, quoted."""
        return f"{quote_name(self.schema)}.{quote_name(relation)}"


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """Statements that make the schema, without its name. `rows`: table to its columns and how they are read."""

    types: tuple[str, ...]
    tables: tuple[str, ...]
    rest: tuple[str, ...]
    rows: Mapping[str, tuple[str, str]]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256("\n".join((*self.types, *self.tables, *self.rest)).encode()).hexdigest()


async def describe(connection: Any, place: Place) -> Definitions:
    """Read the definitions; inside a transaction, whose search_path it leaves at `place`."""
    await _look_up_in(connection, place)
    where = (place.schema, place.only)
    columns = await connection.fetch(_COLUMNS, *where)
    rest = [row["sql"] for query in (_INDEXES, _CONSTRAINTS, _GRANTS) for row in await connection.fetch(query, *where)]
    secured = [
        f"ALTER TABLE {quote_name(row['relname'])} ENABLE ROW LEVEL SECURITY"
        for row in columns
        if row["relrowsecurity"]
    ]
    return Definitions(
        types=tuple(row["sql"] for row in await connection.fetch(_TYPES, *where)),
        tables=tuple(_table(row) for row in columns),
        rest=(*rest, *secured),
        rows={row["relname"]: (", ".join(row["names"]), ", ".join(row["expressions"])) for row in columns},
    )


def _table(row: Mapping[str, Any]) -> str:
    options = f" WITH ({', '.join(row['reloptions'])})" if row["reloptions"] else ""
    return f"CREATE TABLE {quote_name(row['relname'])} ({', '.join(row['columns'])}){options}"


async def _look_up_in(connection: Any, place: Place) -> None:
    await connection.execute("SELECT set_config('search_path', $1, true)", place.search_path)


async def copy(connection: Any, source: Place, target: Place) -> dict[str, int]:
    """Make the schema `target` a whole copy of `source`; inside a transaction.

    Returns:
        Table to number of rows.

    Raises:
        CopyError: what was made is not what was read.
        asyncpg.PostgresError: it could not be made.
    """
    wanted = await describe(connection, source)
    # No table of Prefect's has such a column; its next number would be lost.
    if numbered := await connection.fetch(_NUMBERED, source.schema, source.only):
        raise CopyError(f"identity columns are not copied, and {numbered[0][0]} has one")
    await connection.execute(f"CREATE SCHEMA {quote_name(target.schema)}")
    await _look_up_in(connection, target)
    for statement in (*wanted.types, *wanted.tables):
        await connection.execute(statement)
    rows = {}
    for table, (names, expressions) in wanted.rows.items():
        done = await connection.execute(
            f"INSERT INTO {target.name(table)} ({names}) SELECT {expressions} FROM {source.name(table)}"  # noqa: S608 - names are quoted
        )
        rows[table] = int(done.rpartition(" ")[2])
    # After the rows: an index is made faster than it is kept.
    for statement in wanted.rest:
        await connection.execute(statement)
    made = await describe(connection, target)
    if made != wanted:
        ours = {*wanted.types, *wanted.tables, *wanted.rest}
        theirs = {*made.types, *made.tables, *made.rest}
        raise CopyError(f"these differ: {'; '.join(sorted(ours ^ theirs))[:500]}")
    return rows


async def move(connection: Any, source: Place, target: Place) -> None:
    """Move the tables and what belongs to them, and the enum types, into a schema that exists; inside a transaction."""
    into = f"SET SCHEMA {quote_name(target.schema)}"
    types = await connection.fetch(_TYPES, source.schema, source.only)
    for row in await connection.fetch(_RELATIONS, source.schema, source.only):
        await connection.execute(f"ALTER TABLE {source.name(row[0])} {into}")
    for row in types:
        await connection.execute(f"ALTER TYPE {source.name(row['typname'])} {into}")


async def count_rows(connection: Any, place: Place, tables: Sequence[str]) -> dict[str, int]:
    """Return table to number of rows."""
    return {
        table: await connection.fetchval(f"SELECT count(*) FROM {place.name(table)}")  # noqa: S608 - quoted
        for table in tables
    }


async def size_of(connection: Any, place: Place) -> int:
    """Return the bytes of the tables with their indexes."""
    return int(await connection.fetchval(_BYTES, place.schema, place.only))


async def left_out(connection: Any, place: Place) -> list[str]:
    """Name what `copy` leaves out, in words."""
    return [row[0] for row in await connection.fetch(_LEFT_OUT, place.schema, place.only)]


def tables_of_prefect(migrations: Path) -> tuple[str, ...]:
    """Return the names of all tables that Prefect's migrations ever made, for a schema that is not Prefect's alone."""
    found = (
        name for path in sorted(migrations.glob("*.py")) for pair in _MADE.findall(path.read_text()) for name in pair
    )
    return tuple(sorted({VERSION_TABLE, *filter(None, found)}))
