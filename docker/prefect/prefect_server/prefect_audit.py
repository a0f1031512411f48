"""The table of audit lines, by way of Prefect's own pool. Importing this imports Prefect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import asyncpg  # type: ignore[import-not-found,import-untyped,unused-ignore]
import sqlalchemy as sa  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database import provide_database_interface  # type: ignore[import-not-found,unused-ignore]

from prefect_server.audit import Line, Question, StoreError
from prefect_server.own_tables import in_own_schema

_COLUMNS = [each.name for each in fields(Line) if each.name != "at"]
_WRITE = (
    f"INSERT INTO {{own}}.audit (at, {', '.join(_COLUMNS)}) "  # noqa: S608 - constants
    f"VALUES (clock_timestamp() - make_interval(secs => :age), {', '.join(f':{name}' for name in _COLUMNS)})"
)
# A key's generation is a number behind a dot, which no login's name holds.
_READ = r"""
SELECT id, at, login, rights, method, route, object, status, client FROM {own}.audit
WHERE at >= :since AND (CAST(:before AS bigint) IS NULL OR id < :before)
    AND (cardinality(CAST(:logins AS text[])) = 0 OR regexp_replace(login, '\.[0-9]+$', '') = ANY(:logins))
    AND NOT regexp_replace(login, '\.[0-9]+$', '') = ANY(CAST(:without AS text[]))
ORDER BY id DESC LIMIT :limit
"""
_FORGET = "DELETE FROM {own}.audit WHERE at < clock_timestamp() - make_interval(secs => :seconds)"


@dataclass(frozen=True)
class AuditTable:
    """The table in the schema beside Prefect's."""

    prefect_schema: str

    async def write(self, lines: Sequence[tuple[Line, float]]) -> None:
        """Insert the lines in one transaction, at times by the database's clock."""
        rows = [{name: getattr(line, name) for name in _COLUMNS} | {"age": age} for line, age in lines]
        async with self._connection() as connection:
            await connection.execute(self._sql(_WRITE), rows)

    async def read(self, question: Question) -> list[tuple[int, Line]]:
        """Return the newest rows that were asked for, with their ids."""
        wanted = {
            **vars(question),
            "logins": list(question.logins),
            "without": list(question.without),
            "since": datetime.fromtimestamp(question.since, UTC),
        }
        async with self._connection() as connection:
            found = (await connection.execute(self._sql(_READ), wanted)).mappings().all()
        return [(row["id"], Line(**{name: row[name] for name in _COLUMNS}, at=row["at"].timestamp())) for row in found]

    async def forget(self, seconds: float) -> None:
        """Delete what is older by the database's clock."""
        async with self._connection() as connection:
            await connection.execute(self._sql(_FORGET), {"seconds": seconds})

    def _sql(self, text: str) -> Any:
        return sa.text(in_own_schema(text, self.prefect_schema))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        engine = await provide_database_interface().database_config.engine()
        try:
            async with engine.begin() as connection:
                yield connection
        except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise StoreError(type(error).__name__) from error
