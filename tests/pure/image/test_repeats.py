"""Events that a client sends again: worked on once, whichever of two servers got them first."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from prefect_server import repeats
from prefect_server.duty import CouldNotAskError
from prefect_server.repeats import KEPT_SECONDS, MOST_KEPT, NEW_FOR_SECONDS, PATIENCE_SECONDS, Recent, Repeats

from tests.support.scripted_http import FakeClock


@dataclass(frozen=True)
class Event:
    """What matters of one."""

    id: UUID = field(default_factory=uuid4)


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
    """What other servers noted, and what was worked on."""

    def __init__(self, held_for: float) -> None:
        self.noted: set[UUID] = set()
        self.worked_on: list[UUID] = []
        self.asked, self.silent, self.broken = 0, False, False
        self.duty, self.clock = StubDuty(held_for), FakeClock()
        self.recent = Recent(clock=self.clock.time)
        self.react = Repeats(self.duty, self._noted, self.recent, clock=self.clock.time).once(self._work)  # type: ignore[arg-type]  # a duty that a test hands out

    async def _noted(self, event: UUID) -> bool:
        self.asked += 1
        if self.silent:
            raise CouldNotAskError("OSError")
        return event in self.noted

    async def _work(self, event: Event, _depth: int = 0) -> None:
        if self.broken:
            raise RuntimeError("the database went away")
        self.worked_on.append(event.id)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look all the time."""
    monkeypatch.setattr(repeats, "LOOK_SECONDS", 0.0)


def test_an_event_that_another_server_worked_on_is_left_alone() -> None:
    """Every other one is worked on."""

    async def test() -> None:
        world, theirs, new = World(held_for=1.0), Event(), Event()
        world.noted.add(theirs.id)
        for event in (theirs, new):
            await world.react(event)
        assert world.worked_on == [new.id]

    asyncio.run(test())


def test_an_event_waits_for_the_old_server_to_end() -> None:
    """Only then does it say what it worked on."""

    async def test() -> None:
        world, late = World(held_for=0.0), Event()
        reacting = asyncio.ensure_future(world.react(late))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not world.asked
        world.noted.add(late.id)
        world.duty.seconds = 0.1
        await reacting
        assert world.worked_on == []

    asyncio.run(test())


def test_nobody_waits_for_ever_for_a_server_that_stays() -> None:
    """An interrupted update may leave two: after the first wait's time, events are worked on at once."""

    async def test() -> None:
        world, first, second = World(held_for=0.0), Event(), Event()
        reacting = asyncio.ensure_future(world.react(first))
        await asyncio.sleep(0)
        world.clock.sleep(PATIENCE_SECONDS + 1)
        await reacting
        await world.react(second)
        assert world.worked_on == [first.id, second.id]

    asyncio.run(test())


def test_a_server_that_is_alone_asks_nobody() -> None:
    """Some time after it came on duty no event costs a question any more."""

    async def test() -> None:
        world, event = World(held_for=NEW_FOR_SECONDS), Event()
        await world.react(event)
        assert (world.worked_on, world.asked) == ([event.id], 0)

    asyncio.run(test())


def test_a_silent_database_loses_no_automation() -> None:
    """Once too often is better than never."""

    async def test() -> None:
        world, event = World(held_for=1.0), Event()
        world.silent = True
        await world.react(event)
        assert world.worked_on == [event.id]

    asyncio.run(test())


def test_a_server_says_at_its_end_what_it_worked_on() -> None:
    """Each event once; not what it left alone, nor what failed, which is tried again or is the next one's."""

    async def test() -> None:
        world, done, theirs, failed = World(held_for=1.0), Event(), Event(), Event()
        world.noted.add(theirs.id)
        for event in (done, theirs, done):
            await world.react(event)
        world.broken = True
        with pytest.raises(RuntimeError):
            await world.react(failed)
        assert world.recent.events() == [done.id]

    asyncio.run(test())


def test_a_server_keeps_only_what_may_come_again() -> None:
    """Older events are forgotten, and never more are kept than there is room for."""
    clock = FakeClock()
    recent, events = Recent(clock=clock.time), [uuid4() for _ in range(MOST_KEPT + 1)]
    recent.note(uuid4())
    clock.sleep(KEPT_SECONDS + 1)
    for event in events:
        recent.note(event)
    assert recent.events() == events[1:]
