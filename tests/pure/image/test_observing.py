"""What the observer makes of the database, and how often it asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from prefect_server.observing import CouldNotAskError, Observer, Pool, Timings

from tests.support.scripted_http import FakeClock

ROW: dict[str, Any] = {
    "size_bytes": 1000,
    "connections": 7,
    "connections_limit": 60,
    "open": {"RUNNING": 2, "A_LATER_PREFECT": 9},
    "ended": {"FAILED": 1},
    "late": 3,
    "lateness_seconds": 90.5,
}


def observer(answers: list[Mapping[str, Any] | Exception], clock: FakeClock) -> Observer:
    """One that gets these answers, in this order."""

    async def ask() -> Mapping[str, Any]:
        await asyncio.sleep(0)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Observer(ask, lambda: Pool(used=1, idle=2, limit=15), version="3.8.8", clock=clock.time)


def test_the_database_is_asked_once_a_minute_whoever_looks() -> None:
    """A hundred looks at once and another a moment later cost one question; after a minute there is a second one."""
    clock, answers = FakeClock(), [ROW, {**ROW, "late": 4}]
    seen = observer(list(answers), clock)

    async def looks() -> None:
        assert {found.late for found in await asyncio.gather(*(seen.look() for _ in range(100))) if found} == {3}
        clock.sleep(59)
        assert (found := await seen.look()) is not None
        assert found.late == 3
        clock.sleep(2)
        assert (found := await seen.look()) is not None
        assert found.late == 4

    asyncio.run(looks())


def test_states_are_a_fixed_list() -> None:
    """A state that is not known becomes no label, and one that has no runs is 0 and not absent."""
    report = asyncio.run(observer([ROW], FakeClock()).report())
    assert report["pool"] == {"used": 1, "idle": 2, "limit": 15}
    database = report["database"]
    assert isinstance(database, dict)
    assert database["open"] == {"SCHEDULED": 0, "PENDING": 0, "RUNNING": 2, "PAUSED": 0, "CANCELLING": 0}
    assert database["ended"] == {"COMPLETED": 0, "FAILED": 1, "CRASHED": 0, "CANCELLED": 0}


def test_a_database_that_is_down_is_said_and_forgotten_when_it_is_back() -> None:
    """Without an answer the old numbers are not shown as today's, and the next minute asks again."""
    clock = FakeClock()
    seen = observer([ROW, CouldNotAskError("OperationalError"), ROW], clock)

    async def looks() -> list[bool]:
        found = []
        for _ in range(3):
            found.append(await seen.look() is not None)
            clock.sleep(61)
        return found

    assert asyncio.run(looks()) == [True, False, True]


def test_timings_are_a_histogram() -> None:
    """A time at a limit counts below it, buckets add up, and an answer that never began counts as an error."""
    timings = Timings()
    for seconds, status in ((0.05, 200), (0.3, 404), (60.0, 0)):
        timings.note(seconds, status)
    assert dict(timings.buckets()) == {
        "0.01": 0.0, "0.05": 1.0, "0.1": 1.0, "0.25": 1.0, "0.5": 2.0, "1.0": 2.0, "2.5": 2.0, "5.0": 2.0,
        "10.0": 2.0, "+Inf": 3.0,
    }  # fmt: skip
    assert timings.by_class == {"2xx": 1, "3xx": 0, "4xx": 1, "5xx": 1}
