"""How a server ends: with work left and without."""

from __future__ import annotations

import asyncio

import pytest
from prefect_server import ending  # type: ignore[attr-defined,unused-ignore]

from clients.fly.operations.retiring import STOP_WITHIN
from components.machine_config import api_machine
from tests.support.scripted_http import FakeClock
from tests.support.server_life import Life
from tests.support.update_world import machine_settings


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look all the time."""
    monkeypatch.setattr(ending, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(ending, "_LOOK_SECONDS", 0.0)


class Work:
    """Messages that a server has taken, of which one takes `seconds`."""

    def __init__(self, clock: FakeClock, waiting: int, seconds: float) -> None:
        self.clock, self.waiting, self.done, self._seconds = clock, waiting, 0, seconds

    def left(self) -> int:
        """Count them."""
        return self.waiting

    def finished(self) -> int:
        """Count those that were worked on; with each look it may be one more."""
        if self.waiting and self._seconds:
            self.waiting, self.done = self.waiting - 1, self.done + 1
        self.clock.sleep(self._seconds or 1.0)
        return self.done


async def end_with(work: Work) -> Life:
    life = Life(lambda app: ending.finishing(app, work, clock=work.clock.time))
    await life.began()
    await life.end()
    return life


def test_what_was_taken_is_worked_on_before_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """Prefect is told to end only when nothing is left, however slowly that goes; the log says how much it is."""

    async def test(clock: FakeClock) -> None:
        work = Work(clock, waiting=4, seconds=ending.STALLED_SECONDS - 10)
        life = await end_with(work)
        assert (work.waiting, work.done) == (0, 4)
        assert life.said[-2:] == ["told", "lifespan.shutdown.complete"]

    with caplog.at_level("INFO", logger="prefect_fly"):
        asyncio.run(test(FakeClock()))
    assert "ending; 3 messages are still to be worked on" in caplog.text
    assert "nobody worked on" not in caplog.text


@pytest.mark.parametrize(("seconds", "left"), [(0.0, 100), (ending.STALLED_SECONDS - 10, 95)])
def test_a_server_ends_in_time_all_the_same(seconds: float, left: int, caplog: pytest.LogCaptureFixture) -> None:
    """When nothing gets on for a minute, or when the machine is about to be killed; and it says what it leaves."""

    async def test(clock: FakeClock) -> None:
        began, work = clock.time(), Work(clock, 100, seconds)
        assert "told" in (await end_with(work)).said
        assert clock.time() - began <= (ending.LONGEST_SECONDS if seconds else ending.STALLED_SECONDS) + 60
        assert work.waiting == left

    asyncio.run(test(FakeClock()))
    assert f"ending with {left} messages that nobody worked on" in caplog.text


def test_the_machine_is_not_killed_before_the_server_has_ended() -> None:
    """Requests, messages and a minute for Prefect's own end fit into what Fly is told, and we wait for longer."""
    config = api_machine(machine_settings(), "registry.fly.io/shop")
    timeout = float(config["stop_config"]["timeout"].removesuffix("s"))
    assert ending.REQUESTS_SECONDS + ending.LONGEST_SECONDS + 60 <= timeout <= 300
    assert timeout < STOP_WITHIN


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_services_end_although_a_cancellation_was_lost(lost: int) -> None:
    """Who takes a cancellation for a failure of Redis and goes on is told again, until it ends."""
    told = 0

    async def goes_on() -> None:
        nonlocal told
        while True:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                told += 1
                if told > lost:
                    raise

    async def test() -> None:
        task = asyncio.ensure_future(goes_on())
        await asyncio.sleep(0)
        ending.cancel(task, again=0.01)
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(test())
    assert told == lost + 1
