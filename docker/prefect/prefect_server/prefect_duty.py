"""What duty.py and repeats.py ask of the database, through Prefect's own pool. Importing this imports Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg  # type: ignore[import-not-found,import-untyped,unused-ignore]
import sqlalchemy as sa  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database import provide_database_interface  # type: ignore[import-not-found,unused-ignore]

from prefect_server.duty import CouldNotAskError
from prefect_server.own_tables import in_own_schema
from prefect_server.repeats import NEW_FOR_SECONDS

_NAME = "periodic services"
_TAKE = """
INSERT INTO {own}.duty AS held (name, holder, until)
VALUES (:name, :holder, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE held.holder = excluded.holder OR held.until < clock_timestamp()
RETURNING holder
"""
_NOTE = """
WITH over AS (DELETE FROM {own}.worked_on WHERE until < clock_timestamp()),
noted AS (
    INSERT INTO {own}.worked_on (event, until)
    SELECT unnest(:events), clock_timestamp() + make_interval(secs => :seconds)
    ON CONFLICT (event) DO UPDATE SET until = excluded.until
)
SELECT 1
"""
_HOLDS = "SELECT 1 FROM {own}.worked_on WHERE event = :event AND until > clock_timestamp()"
_GIVE_BACK = "DELETE FROM {own}.duty WHERE name = :name AND holder = :holder RETURNING holder"


class DatabaseLease:
    """The row of the table `duty`."""

    def __init__(self, prefect_schema: str) -> None:
        statements = (_TAKE, _NOTE, _GIVE_BACK)
        self._take, self._note, self._give_back = (sa.text(in_own_schema(sql, prefect_schema)) for sql in statements)
        self._note = self._note.bindparams(sa.bindparam("events", type_=sa.ARRAY(sa.Uuid)))

    async def take(self, holder: str, seconds: float) -> bool:
        """Take or renew it; tell whether it is ours now."""
        return await _first(self._take, {"name": _NAME, "holder": holder, "seconds": seconds}) is not None

    async def give_back(self, holder: str, worked_on: Sequence[UUID]) -> None:
        """End it if it is ours, and note the events that this server worked on."""
        await _first(self._note, {"events": list(worked_on), "seconds": NEW_FOR_SECONDS})
        await _first(self._give_back, {"name": _NAME, "holder": holder})


class WorkedOn:
    """The table of what a server that ended had worked on."""

    def __init__(self, prefect_schema: str) -> None:
        self._ask = sa.text(in_own_schema(_HOLDS, prefect_schema)).bindparams(sa.bindparam("event", type_=sa.Uuid))

    async def holds(self, event: UUID) -> bool:
        """Tell whether it holds an event.

        Raises:
            CouldNotAskError: the database did not answer.
        """
        return await _first(self._ask, {"event": event}) is not None


async def _first(statement: Any, values: dict[str, Any]) -> Any:
    engine = await provide_database_interface().database_config.engine()
    try:
        async with engine.begin() as connection:
            return (await connection.execute(statement, values)).first()
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CouldNotAskError(type(error).__name__) from error
