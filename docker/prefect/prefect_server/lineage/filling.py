"""Takes new events about assets from Prefect's table into ours, every few seconds, in one process at a time.

There is no mark that says how far it came: an event is new when its id is not among our runs. So a restart, a second
server and an event that arrives late need no care of their own. Looking back far costs more, so the last two minutes
are looked at in every round, the last hour once a minute, and everything that Prefect still has at start, once an hour
and after a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect_server.lineage import tables
from prefect_server.lineage.reading import (
    FAILED,
    REFERENCED,
    SUCCEEDED,
    AssetRun,
    Description,
    newest,
    read_description,
    read_run,
)
from prefect_server.observing import CouldNotAskError
from prefect_server.own_tables import in_own_schema

logger = logging.getLogger("prefect_fly.lineage")

PAUSE_SECONDS = 5.0
MINUTE, HOUR = 60.0, 3600.0
NEAR, FAR = timedelta(minutes=2), timedelta(hours=1)
BATCH = 100
STATEMENT_SECONDS = 120.0
_FIRST_ID = UUID(int=0)

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
        self._looked_far = self._looked_at_all = float("-inf")
        self._failing = False

    async def run(self) -> None:
        """Fill until cancelled; a database that does not answer is tried again."""
        while True:
            try:
                await self.round()
                self._failing = False
            except CouldNotAskError as error:
                self._looked_at_all = float("-inf")
                if not self._failing:
                    logger.warning("could not read events about assets: %s; trying again", error)
                self._failing = True
            except Exception:
                # Nobody waits for this task before the end: it would be over without a word.
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
        horizon = now - self._keep
        everything = clock - self._looked_at_all >= HOUR
        far = everything or clock - self._looked_far >= MINUTE
        since = horizon if everything else max(horizon, now - (FAR if far else NEAR))
        # First what may be older: later words count.
        await self._take_descriptions(since)
        added = 0
        for event in (SUCCEEDED, FAILED):
            added += await self._take_runs(event, since)
        if everything:
            async with self._borrow() as connection:
                await connection.execute(self._sql(tables.FORGET_RUNS), horizon, timeout=STATEMENT_SECONDS)
            self._looked_at_all = clock
        if far:
            self._looked_far = clock
        return added

    async def _take_runs(self, event: str, since: datetime) -> int:
        added, last = 0, (since, _FIRST_ID)
        while True:
            rows: list[Any] = []
            async with self._locked() as connection:
                if connection is not None:
                    rows = await self._fetch(connection, tables.NEW_RUNS, event, *last, BATCH)
                    added += await self._write(connection, rows)
            if len(rows) < BATCH:
                return added
            last = (rows[-1]["occurred"], rows[-1]["id"])

    async def _take_descriptions(self, since: datetime) -> None:
        while True:
            found: list[Description] = []
            async with self._locked() as connection:
                if connection is not None:
                    rows = await self._fetch(connection, tables.NEW_DESCRIPTIONS, REFERENCED, since, BATCH)
                    found = newest(each for row in rows if (each := read_description(row)))
                    await self._describe(connection, found)
            if len(found) < BATCH:
                return

    async def _write(self, connection: Any, rows: list[Any]) -> int:
        runs = [run for row in rows if (run := read_run(row))]
        if not runs:
            return 0
        seen: dict[str, datetime] = {}
        for run in runs:
            for key in (run.key, *run.upstream):
                seen[key] = min(seen.get(key, run.occurred), run.occurred)
        await self._add_assets(connection, seen)
        given = json.dumps([_as_record(run) for run in runs])
        added = await connection.fetchval(self._sql(tables.ADD_RUNS), given, timeout=STATEMENT_SECONDS)
        said = [each for row in rows if (each := read_description(row)) and each.says_something]
        await self._describe(connection, newest(said))
        return int(added)

    async def _add_assets(self, connection: Any, seen: dict[str, datetime]) -> None:
        given = json.dumps([{"key": key, "at": at.isoformat()} for key, at in seen.items()])
        await connection.execute(self._sql(tables.ADD_ASSETS), given, timeout=STATEMENT_SECONDS)

    async def _describe(self, connection: Any, found: list[Description]) -> None:
        if not found:
            return
        await self._add_assets(connection, {each.key: each.at for each in found})
        given = json.dumps([asdict(each) | {"at": each.at.isoformat()} for each in found])
        await connection.execute(self._sql(tables.DESCRIBE), given, timeout=STATEMENT_SECONDS)

    @asynccontextmanager
    async def _locked(self) -> AsyncIterator[Any]:
        """Lend a connection within a transaction that holds the lock, None while another process has it."""
        async with self._borrow() as connection, connection.transaction():
            yield connection if await connection.fetchval(tables.LOCK, self._schema) else None

    async def _fetch(self, connection: Any, statement: str, *values: object) -> list[Any]:
        rows: list[Any] = await connection.fetch(self._sql(statement), *values, timeout=STATEMENT_SECONDS)
        return rows

    def _sql(self, statement: str) -> str:
        return in_own_schema(statement, self._schema)


def _as_record(run: AssetRun) -> dict[str, object]:
    """A run as ADD_RUNS takes it."""
    record: dict[str, object] = {
        "event_id": str(run.event_id),
        "key": run.key,
        "occurred": run.occurred.isoformat(),
        "succeeded": run.succeeded,
        "upstream": run.upstream,
        "made_by": run.made_by,
        "metadata": run.metadata,
    }
    for kind in ("flow_run", "flow", "task_run", "deployment"):
        party = getattr(run, kind)
        record |= {f"{kind}_id": party.id and str(party.id), kind: party.name}
    return record


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
