"""Events that a client sends again: worked on once, whichever of two servers got them first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from prefect_server import repeats
from prefect_server.duty import CouldNotAskError, Look
from prefect_server.repeats import (
    ALONE_SECONDS,
    CLAIMED_SECONDS,
    KEPT_SECONDS,
    MOST_KEPT,
    NEW_FOR_SECONDS,
    Claim,
    Recent,
    Repeats,
)

from tests.support.scripted_http import FakeClock

ALONE, BESIDE, AFTER = Look(ours=True), Look(ours=True, beside=True, lately=True), Look(ours=True, lately=True)


@dataclass(frozen=True)
class Event:
    """What matters of one."""

    id: UUID = field(default_factory=uuid4)


class SharedClaims:
    """The table as the database holds it."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.rows, self.asked, self.silent = clock, dict[UUID, tuple[float, bool]](), 0, False

    def _ask(self) -> float:
        self.asked += 1
        if self.silent:
            raise CouldNotAskError("OSError")
        return self.clock.time()

    async def claim(self, event: UUID) -> Claim:
        """Claim one where nobody has, or the claim is over."""
        now = self._ask()
        until, done = self.rows.get(event, (now, False))
        if until <= now:
            self.rows[event] = now + CLAIMED_SECONDS, False
            return Claim.OURS
        return Claim.DONE if done else Claim.TAKEN

    async def done(self, events: Sequence[UUID]) -> None:
        """Note them; nothing is asked for none."""
        now = self._ask() if events else 0.0
        self.rows |= dict.fromkeys(events, (now + NEW_FOR_SECONDS, True))

    async def give_up(self, events: Sequence[UUID]) -> None:
        """Forget them."""
        if events:
            self._ask()
        for event in events:
            del self.rows[event]


class Server:
    """One of several, and what it worked on."""

    def __init__(self, claims: SharedClaims) -> None:
        self.clock, self.worked_on = claims.clock, list[UUID]()
        self.repeats = Repeats(claims, clock=claims.clock.time)
        self.react = self.repeats.once(self._work)
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.broken = False

    async def looks(self, look: Look) -> None:
        """Look at the database."""
        await self.repeats.looked(look, self.clock.time())

    async def _work(self, event: Event, _depth: int = 0) -> None:
        if self.broken:
            raise RuntimeError("the database went away")
        await self.may_end.wait()
        self.worked_on.append(event.id)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look all the time."""
    monkeypatch.setattr(repeats, "LOOK_SECONDS", 0.0)


def in_a_world(test: Callable[[SharedClaims], Awaitable[None]]) -> None:
    async def run() -> None:
        await test(SharedClaims(FakeClock()))

    asyncio.run(run())


async def others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def side_by_side(claims: SharedClaims) -> tuple[Server, Server]:
    """An old server that was alone, and a new one of which it knows."""
    old, new = Server(claims), Server(claims)
    await old.looks(ALONE)
    await new.looks(BESIDE)
    await old.looks(BESIDE)
    claims.clock.sleep(ALONE_SECONDS)
    await new.looks(BESIDE)
    return old, new


@pytest.mark.parametrize("back", [False, True])
def test_an_event_that_comes_again_to_the_other_server_is_left_alone(*, back: bool) -> None:
    """Whether the old server ends (an update) or the new one does (a failed update), while both are there."""

    async def test(claims: SharedClaims) -> None:
        first, second = await side_by_side(claims)
        if back:
            first, second = second, first
        event, new = Event(), Event()
        await first.react(event)
        for each in (event, new):
            await second.react(each)
        assert (first.worked_on, second.worked_on) == ([event.id], [new.id])

    in_a_world(test)


def test_what_a_server_did_while_it_was_alone_is_known_to_a_new_one() -> None:
    """It says so when it comes to know of the other one, also of what is under way, and not again with each look."""

    async def test(claims: SharedClaims) -> None:
        old, new, done, under_way = Server(claims), Server(claims), Event(), Event()
        await old.looks(ALONE)
        await old.react(done)
        old.may_end.clear()
        working = asyncio.ensure_future(old.react(under_way))
        await others_run()
        assert not claims.asked
        await new.looks(BESIDE)
        await old.looks(BESIDE)
        asked = claims.asked
        await old.looks(BESIDE)
        assert claims.asked == asked
        claims.clock.sleep(ALONE_SECONDS)
        for each in (done, under_way):
            await new.react(each)
        old.may_end.set()
        await working
        assert (new.worked_on, old.worked_on) == ([], [done.id, under_way.id])

    in_a_world(test)


def test_a_new_server_works_on_nothing_before_the_old_one_knows_of_it() -> None:
    """One that goes before that has done nothing, so nothing can happen twice; one that is alone waits for nobody."""

    async def test(claims: SharedClaims) -> None:
        new, event, other = Server(claims), Event(), Event()
        await new.looks(BESIDE)
        working = asyncio.ensure_future(new.react(event))
        await others_run()
        assert (new.worked_on, claims.asked) == ([], 0)
        claims.clock.sleep(ALONE_SECONDS)
        await working
        alone = Server(claims)
        await alone.looks(AFTER)
        await alone.react(other)
        assert (new.worked_on, alone.worked_on) == ([event.id], [other.id])

    in_a_world(test)


def test_a_new_server_whose_neighbour_goes_waits_no_longer() -> None:
    """There is nobody left who has to come to know of it."""

    async def test(claims: SharedClaims) -> None:
        new, event = Server(claims), Event()
        await new.looks(BESIDE)
        working = asyncio.ensure_future(new.react(event))
        await new.looks(AFTER)
        await working
        assert new.worked_on == [event.id]

    in_a_world(test)


def test_an_event_that_another_server_works_on_is_waited_for() -> None:
    """It is left alone when that one is done, and worked on when that one failed or vanished."""

    async def test(claims: SharedClaims) -> None:
        old, new = await side_by_side(claims)
        done, failed, vanished = Event(), Event(), Event()
        old.may_end.clear()
        working = [asyncio.ensure_future(old.react(each)) for each in (done, vanished)]
        await others_run()
        waiting = [asyncio.ensure_future(new.react(each)) for each in (done, vanished)]
        await others_run()
        assert new.worked_on == []
        working[1].cancel()
        old.may_end.set()
        await working[0]
        await waiting[0]
        assert new.worked_on == []
        claims.clock.sleep(CLAIMED_SECONDS)
        await waiting[1]
        old.broken = True
        with pytest.raises(RuntimeError):
            await old.react(failed)
        await new.react(failed)
        assert new.worked_on == [vanished.id, failed.id]

    in_a_world(test)


def test_a_server_leaves_at_its_end_what_it_was_cut_off_from() -> None:
    """And says what it worked on, each event once, also where it was alone: it may start again at once."""

    async def test(claims: SharedClaims) -> None:
        old, new = await side_by_side(claims)
        cut_off, alone, event = Event(), Server(claims), Event()
        old.may_end.clear()
        working = asyncio.ensure_future(old.react(cut_off))
        await others_run()
        working.cancel()
        await asyncio.wait([working])
        await old.repeats.end()
        await new.react(cut_off)
        assert new.worked_on == [cut_off.id]
        await alone.looks(ALONE)
        await alone.react(event)
        await alone.repeats.end()
        await new.react(event)
        assert new.worked_on == [cut_off.id]

    in_a_world(test)


def test_a_server_that_is_alone_asks_nobody() -> None:
    """Nor two minutes after another one went; but it asks when it could not look for a while."""

    async def test(claims: SharedClaims) -> None:
        server = Server(claims)
        for look, seconds, asks in (
            (ALONE, 0, False),
            (ALONE, ALONE_SECONDS, True),
            (AFTER, 0, True),
            (ALONE, 0, False),
        ):
            await server.looks(look)
            claims.clock.sleep(seconds)
            before = claims.asked
            await server.react(Event())
            assert (claims.asked > before) == asks

    in_a_world(test)


def test_a_silent_database_loses_no_automation() -> None:
    """Once too often is better than never; and what could not be said is said later."""

    async def test(claims: SharedClaims) -> None:
        old, new, event = Server(claims), Server(claims), Event()
        await old.looks(ALONE)
        claims.silent = True
        await old.looks(BESIDE)
        await old.react(event)
        assert old.worked_on == [event.id]
        claims.silent = False
        await old.looks(BESIDE)
        await new.looks(BESIDE)
        claims.clock.sleep(ALONE_SECONDS)
        await new.react(event)
        assert new.worked_on == []

    in_a_world(test)


def test_a_server_keeps_only_what_may_come_again() -> None:
    """Older events are forgotten, and never more are kept than there is room for."""
    clock = FakeClock()
    recent, events = Recent(clock=clock.time), [uuid4() for _ in range(MOST_KEPT + 1)]
    recent.note(uuid4())
    clock.sleep(KEPT_SECONDS + 1)
    for event in events:
        recent.note(event)
    assert recent.events() == events[1:]
