"""What duty.py and repeats.py ask of the database, through Prefect's own pool. Importing this imports Prefect."""

from __future__ import annotations

from datetime import datetime
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
# Whoever comes next may leave alone what an earlier server stored only if that one also worked on it.
_FINISHED = "events finished"
_NOTE = """
INSERT INTO {own}.duty AS note (name, holder, until)
VALUES (:name, :holder, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
RETURNING holder
"""
_RECEIVED = """
SELECT received FROM {prefect}.events WHERE id = :id AND EXISTS (
    SELECT FROM {own}.duty WHERE name = :name AND until > clock_timestamp())
"""
_GIVE_BACK = "DELETE FROM {own}.duty WHERE name = :name AND holder = :holder RETURNING holder"


class DatabaseLease:
    """The row of the table `duty`."""

    def __init__(self, prefect_schema: str) -> None:
        statements = (_TAKE, _NOTE, _GIVE_BACK)
        self._take, self._note, self._give_back = (sa.text(in_own_schema(sql, prefect_schema)) for sql in statements)

    async def take(self, holder: str, seconds: float) -> bool:
        """Take or renew it; tell whether it is ours now."""
        return await _first(self._take, {"name": _NAME, "holder": holder, "seconds": seconds}) is not None

    async def give_back(self, holder: str, *, finished: bool) -> None:
        """End it if it is ours, and note whether this server worked on all that it took."""
        noted = {"name": _FINISHED, "holder": holder, "seconds": NEW_FOR_SECONDS if finished else 0.0}
        await _first(self._note, noted)
        await _first(self._give_back, {"name": _NAME, "holder": holder})


class StoredEvents:
    """The table of events."""

    def __init__(self, prefect_schema: str) -> None:
        self._ask = sa.text(in_own_schema(_RECEIVED, prefect_schema))

    async def received(self, event_id: UUID) -> datetime | None:
        """Return when the event was received for the first time; None when it is not stored, or perhaps not worked on.

        Raises:
            CouldNotAskError: the database did not answer.
        """
        row = await _first(self._ask, {"id": event_id, "name": _FINISHED})
        return row[0] if row else None


async def _first(statement: Any, values: dict[str, Any]) -> Any:
    engine = await provide_database_interface().database_config.engine()
    try:
        async with engine.begin() as connection:
            return (await connection.execute(statement, values)).first()
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CouldNotAskError(type(error).__name__) from error
