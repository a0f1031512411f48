"""What duty.py and repeats.py ask of the database, through Prefect's own pool. Importing this imports Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex
from typing import Any
from uuid import UUID

import asyncpg  # type: ignore[import-not-found,import-untyped,unused-ignore]
import sqlalchemy as sa  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database import provide_database_interface  # type: ignore[import-not-found,unused-ignore]

from prefect_server.duty import CouldNotAskError, Look
from prefect_server.own_tables import in_own_schema
from prefect_server.repeats import CLAIMED_SECONDS, NEW_FOR_SECONDS, Claim

_NAME = "periodic services"
_HERE = """
INSERT INTO {own}.server (id, until) VALUES (:server, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (id) DO UPDATE SET until = excluded.until
RETURNING id
"""
# The others are looked for when all can see this one: of two that start at once, one at least sees the other.
_TAKE = """
WITH gone AS (DELETE FROM {own}.server WHERE until < clock_timestamp() - make_interval(secs => :lately)),
over AS (DELETE FROM {own}.worked_on WHERE until < clock_timestamp()),
held AS (
    INSERT INTO {own}.duty AS held (name, holder, until)
    VALUES (:name, :holder, clock_timestamp() + make_interval(secs => :seconds))
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE held.holder = excluded.holder OR held.until < clock_timestamp()
    RETURNING holder
)
SELECT EXISTS (SELECT FROM held) AS ours,
    coalesce(bool_or(until > clock_timestamp()), false) AS beside,
    coalesce(bool_or(until > clock_timestamp() - make_interval(secs => :lately)), false) AS lately
FROM {own}.server WHERE id <> :server
"""
_GIVE_BACK = """
WITH gone AS (UPDATE {own}.server SET until = clock_timestamp() WHERE id = :server)
DELETE FROM {own}.duty WHERE name = :name AND holder = :holder RETURNING holder
"""
_CLAIM = """
WITH mine AS (
    INSERT INTO {own}.worked_on AS held (event, until, done)
    VALUES (:event, clock_timestamp() + make_interval(secs => :seconds), false)
    ON CONFLICT (event) DO UPDATE SET until = excluded.until, done = false WHERE held.until < clock_timestamp()
    RETURNING event
)
SELECT EXISTS (SELECT FROM mine) AS ours, (SELECT done FROM {own}.worked_on WHERE event = :event) AS done
"""
# In one order, so that two servers do not wait for each other.
_DONE = """
INSERT INTO {own}.worked_on (event, until, done)
SELECT event, clock_timestamp() + make_interval(secs => :seconds), true FROM unnest(:events) AS event ORDER BY event
ON CONFLICT (event) DO UPDATE SET until = excluded.until, done = true
RETURNING event
"""
_GIVE_UP = "DELETE FROM {own}.worked_on WHERE event = ANY (:events) RETURNING event"
_EVENTS = sa.bindparam("events", type_=sa.ARRAY(sa.Uuid))


class DatabaseLease:
    """The row of the table `duty`, and a row for each server."""

    def __init__(self, prefect_schema: str) -> None:
        statements = (_HERE, _TAKE, _GIVE_BACK)
        self._here, self._take, self._give_back = (sa.text(in_own_schema(sql, prefect_schema)) for sql in statements)
        self._server = token_hex(8)  # a machine that starts again is another server

    async def take(self, holder: str, seconds: float) -> Look:
        """Take or renew it, and say that this server is there for as long."""
        here = {"server": self._server, "seconds": seconds}
        await _first(self._here, here)
        found = await _first(self._take, here | {"name": _NAME, "holder": holder, "lately": NEW_FOR_SECONDS})
        return Look(ours=found.ours, beside=found.beside, lately=found.lately)

    async def give_back(self, holder: str) -> None:
        """End it if it is ours, and say that this server is not there any more."""
        await _first(self._give_back, {"name": _NAME, "holder": holder, "server": self._server})


class DatabaseClaims:
    """The table of events that servers work on or have worked on."""

    def __init__(self, prefect_schema: str) -> None:
        self._claim, done, give_up = (sa.text(in_own_schema(sql, prefect_schema)) for sql in (_CLAIM, _DONE, _GIVE_UP))
        self._claim = self._claim.bindparams(sa.bindparam("event", type_=sa.Uuid))
        self._done, self._give_up = done.bindparams(_EVENTS), give_up.bindparams(_EVENTS)

    async def claim(self, event: UUID) -> Claim:
        """Claim an event, unless it is another server's."""
        found = await _first(self._claim, {"event": event, "seconds": CLAIMED_SECONDS})
        if found.ours:
            return Claim.OURS
        return Claim.DONE if found.done else Claim.TAKEN

    async def done(self, events: Sequence[UUID]) -> None:
        """Note that these were worked on."""
        if events:
            await _first(self._done, {"events": list(events), "seconds": NEW_FOR_SECONDS})

    async def give_up(self, events: Sequence[UUID]) -> None:
        """Leave to others what was claimed and not worked on."""
        if events:
            await _first(self._give_up, {"events": list(events)})


async def _first(statement: Any, values: dict[str, Any]) -> Any:
    engine = await provide_database_interface().database_config.engine()
    try:
        async with engine.begin() as connection:
            return (await connection.execute(statement, values)).first()
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CouldNotAskError(type(error).__name__) from error
