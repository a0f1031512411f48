"""Events that a client sends again: worked on once, whichever of two servers got them first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from prefect_server import repeats
from prefect_server.duty import CouldNotAskError
from prefect_server.repeats import NEW_FOR_SECONDS, PATIENCE_SECONDS, Repeats

from tests.support.scripted_http import FakeClock

FIRST = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
AGAIN = FIRST + timedelta(seconds=3)


@dataclass
class Event:
    """What matters of one."""

    id: str
    received: datetime


class StubDuty:
    """A duty that a test hands out."""

    def __init__(self, held_for: float) -> None:
        self.seconds = held_for

    @property
    def held(self) -> bool:
        """Tell whether it is held."""
        return self.seconds > 0

    def held_for(self) -> float:
        """Return for how long."""
        return self.seconds


class World:
    """The database's events, and what was worked on."""

    def __init__(self, held_for: float) -> None:
        self.stored: dict[str, datetime] = {}
        self.worked_on: list[str] = []
        self.asked, self.silent = 0, False
        self.duty, self.clock = StubDuty(held_for), FakeClock()
        repeats_ = Repeats(self.duty, self.received, clock=self.clock.time)  # type: ignore[arg-type]
        self.react = repeats_.once(self._work)

    async def received(self, event_id: str) -> datetime | None:
        """Answer for the database."""
        self.asked += 1
        if self.silent:
            raise CouldNotAskError("OSError")
        return self.stored.get(event_id)

    async def _work(self, event: Event, _depth: int = 0) -> None:
        self.worked_on.append(event.id)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look all the time."""
    monkeypatch.setattr(repeats, "LOOK_SECONDS", 0.0)


def test_an_event_that_another_server_received_is_left_alone() -> None:
    """A new one, and one that this server itself has stored already, are worked on."""

    async def test() -> None:
        world = World(held_for=1.0)
        world.stored |= {"theirs": FIRST, "ours": FIRST}
        for event in (Event("theirs", AGAIN), Event("ours", FIRST), Event("new", FIRST)):
            await world.react(event)
        assert world.worked_on == ["ours", "new"]

    asyncio.run(test())


def test_an_event_waits_for_the_old_server_to_end() -> None:
    """Until then not everything that it worked on is stored."""

    async def test() -> None:
        world = World(held_for=0.0)
        reacting = asyncio.ensure_future(world.react(Event("late", AGAIN)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not world.asked
        world.stored["late"], world.duty.seconds = FIRST, 0.1
        await reacting
        assert world.worked_on == []

    asyncio.run(test())


def test_nobody_waits_for_ever_for_a_server_that_stays() -> None:
    """An interrupted update may leave two: after the first wait's time, events are worked on at once."""

    async def test() -> None:
        world = World(held_for=0.0)
        reacting = asyncio.ensure_future(world.react(Event("first", FIRST)))
        await asyncio.sleep(0)
        world.clock.sleep(PATIENCE_SECONDS + 1)
        await reacting
        await world.react(Event("second", FIRST))
        assert world.worked_on == ["first", "second"]

    asyncio.run(test())


def test_a_server_that_is_alone_asks_nobody() -> None:
    """Some time after it came on duty no event costs a question any more."""

    async def test() -> None:
        world = World(held_for=NEW_FOR_SECONDS)
        await world.react(Event("any", FIRST))
        assert (world.worked_on, world.asked) == (["any"], 0)

    asyncio.run(test())


def test_a_silent_database_loses_no_automation() -> None:
    """Once too often is better than never."""

    async def test() -> None:
        world = World(held_for=1.0)
        world.silent = True
        await world.react(Event("any", FIRST))
        assert world.worked_on == ["any"]

    asyncio.run(test())
