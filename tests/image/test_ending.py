"""The end of a server that has more to work on than it gets done at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
import pytest

from sandbox.postgres import PostgresServer
from tests.support.migration import name_of
from tests.support.prefect_server import Program, running
from tests.support.side_by_side import react_to, send, server
from tests.support.waiting import until

pytestmark = [pytest.mark.prefect, pytest.mark.long]

RUNS = "SELECT count(*) FROM prefect.flow_run JOIN prefect.flow ON flow.id = flow_id WHERE flow.name = 'alarm'"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'prefect.flow_run'::regclass"
STILL = "are still to be worked on"


async def end_while_nothing_gets_on(url: str, busy: Program, events: int) -> None:
    """Hold what the automation writes to, end the server, and let go when it has waited for a while."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE prefect.flow_run IN ACCESS EXCLUSIVE MODE")
            for _ in range(events):
                await asyncio.to_thread(send, busy, str(uuid4()), "alarm")
            while not await connection.fetchval(WAITING):  # noqa: ASYNC110 # another process's work
                await asyncio.sleep(0.1)
            assert busy.process is not None
            busy.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: STILL in busy.log, lambda: busy.log[-3000:])
    finally:
        await connection.close()


def test_a_server_ends_only_when_it_has_worked_on_what_it_took(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """What is being worked on and what waits behind it is not cut off, however long that takes."""
    url = migrated_database()
    # A statement that waits for the lock must not give up by itself.
    with running(server(tmp_path, url, "old", PREFECT_SERVER_DATABASE_TIMEOUT="600")) as busy:
        for event in ("alarm", "probe"):
            react_to(busy, event)

        def reacts() -> bool:
            send(busy, str(uuid4()), "probe")
            return postgres.execute("SELECT count(*) FROM prefect.flow_run", name_of(url)) != "0"

        # The services learn of new automations within seconds, one after the other.
        until(reacts, every=1.0)
        asyncio.run(end_while_nothing_gets_on(url, busy, events=6))
        assert busy.stop() == -signal.SIGTERM
        assert postgres.execute(RUNS, name_of(url)) == "6"
        assert "nobody worked on" not in busy.log
