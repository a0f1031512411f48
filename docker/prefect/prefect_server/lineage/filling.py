"""Takes new events about assets from Prefect's table into ours, every few seconds, in one process at a time.

There is no mark in the database that says how far it came: an event is new when its id is not among our runs. So a
restart, a second server and an event that arrives late need no care of their own. A round looks at what was written
since the round before, and somewhat further back for what was being written then; everything that Prefect still has is
looked at when it starts, after a failure, when the clock went back, and once a day, should another clock have been
wrong. What is too old is told by the database's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect_server.lineage import tables
from prefect_server.lineage.reading import FAILED, REFERENCED, SUCCEEDED, Description, newest, read_description
from prefect_server.observing import CouldNotAskError
from prefect_server.own_tables import in_own_schema

logger = logging.getLogger("prefect_fly.lineage")

PAUSE_SECONDS = 5.0
DAY = 86_400.0
OVERLAP = timedelta(seconds=15)
BATCH = 1000
STATEMENT_SECONDS = 120.0
_FIRST_ID = UUID(int=0)
_KINDS = [SUCCEEDED, FAILED, REFERENCED]

Borrow = Callable[[], AbstractAsyncContextManager[Any]]
"""Lends an asyncpg connection; raises CouldNotAskError for everything that goes wrong while it is lent."""


class Filler:
    """Fills the tables from the events.

    Args:
        borrow: lends a connection.
        schema: Prefect's.
        keep_days: how long runs are kept.
        clock: seconds, for how often to look; `now` is the time that events are compared with.
    """

    def __init__(
        self,
        borrow: Borrow,
        *,
        schema: str,
        keep_days: int,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._borrow, self._schema = borrow, schema
        self._keep = timedelta(days=keep_days)
        self._clock, self._now = clock, now
        self._looked: datetime | None = None
        self._looked_at_all = float("-inf")
        self._failing = False

    async def run(self) -> None:
        """Fill until cancelled; a database that does not answer is tried again."""
        while True:
            try:
                await self.round()
                self._failing = False
            except CouldNotAskError as error:
                self._looked = None
                if not self._failing:
                    logger.warning("could not read events about assets: %s; trying again", error)
                self._failing = True
            except Exception:  # nobody waits for this task before the end: it would be over without a word
                self._looked = None
                if not self._failing:
                    logger.exception("could not read events about assets; trying again")
                self._failing = True
            await asyncio.sleep(PAUSE_SECONDS)

    async def round(self) -> int:
        """Look once, as far back as it is time for.

        Returns:
            How many runs were added.

        Raises:
            CouldNotAskError: the database did not do what was asked.
        """
        now, clock = self._now(), self._clock()
        if self._looked is None or now < self._looked or clock - self._looked_at_all >= DAY:
            added = await self._look_at_all()
            self._looked_at_all = clock
        else:
            added = await self._look("updated", self._looked - OVERLAP)
        self._looked = now
        return added

    async def _look_at_all(self) -> int:
        async with self._borrow() as connection:
            horizon = await connection.fetchval(tables.HORIZON, self._keep, timeout=STATEMENT_SECONDS)
        added = await self._look("occurred", horizon)
        async with self._borrow() as connection:
            await connection.execute(self._sql(tables.FORGET_RUNS), horizon, timeout=STATEMENT_SECONDS)
        return added

    async def _look(self, mark: str, since: datetime) -> int:
        added = await self._take_runs(mark, since)
        await self._take_descriptions(mark, since)
        return added

    async def _take_runs(self, mark: str, since: datetime) -> int:
        added, last = 0, (since, _FIRST_ID)
        statement = self._sql(tables.TAKE_RUNS, mark)
        while True:
            async with self._locked() as connection:
                if connection is None:
                    return added
                page = await connection.fetchrow(statement, *last, SUCCEEDED, FAILED, BATCH, timeout=STATEMENT_SECONDS)
            added += int(page["added"])
            if page["seen"] < BATCH:
                return added
            last = (page["mark"], page["id"])

    async def _take_descriptions(self, mark: str, since: datetime) -> None:
        while True:
            async with self._locked() as connection:
                if connection is None:
                    return
                rows = await connection.fetch(
                    self._sql(tables.NEW_DESCRIPTIONS, mark), since, _KINDS, BATCH, timeout=STATEMENT_SECONDS
                )
                found = newest(each for row in rows if (each := read_description(row)))
                await self._describe(connection, found)
            # What cannot be read stays new: a batch of nothing else would come again for ever.
            if len(rows) < BATCH or not found:
                return

    async def _describe(self, connection: Any, found: list[Description]) -> None:
        if not found:
            return
        given = json.dumps([vars(each) | {"at": each.at.isoformat()} for each in found])
        await connection.execute(self._sql(tables.ADD_ASSETS), given, timeout=STATEMENT_SECONDS)
        await connection.execute(self._sql(tables.DESCRIBE), given, timeout=STATEMENT_SECONDS)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Any]:
        """Lend a connection within a transaction that holds the lock, None while another process has it."""
        async with self._borrow() as connection, connection.transaction():
            yield connection if await connection.fetchval(tables.LOCK, self._schema) else None

    def _sql(self, statement: str, mark: str = "") -> str:
        return in_own_schema(statement, self._schema).replace("{mark}", mark)


@asynccontextmanager
async def filling(filler: Filler | None) -> AsyncIterator[None]:
    """Fill while the block runs."""
    task = asyncio.create_task(filler.run()) if filler else None
    try:
        yield
    finally:
        if task:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
