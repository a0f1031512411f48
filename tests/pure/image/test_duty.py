"""Who runs the periodic services, by a lease that a test holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prefect_server import duty  # type: ignore[attr-defined,unused-ignore]
from prefect_server.duty import LASTS_SECONDS, CouldNotAskError, Duty, Look

from tests.support.scripted_http import FakeClock
from tests.support.server_life import Life


class SharedLease:
    """A lease as the database holds it, on a clock of its own."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.holder, self.until, self.silent = clock, "", 0.0, False
        self.there: set[str] = set()

    async def take(self, holder: str, seconds: float) -> Look:
        """Take it where it is free, one's own or over."""
        if self.silent:
            raise CouldNotAskError("TimeoutError")
        if self.holder in {"", holder} or self.until < self.clock.time():
            self.holder, self.until = holder, self.clock.time() + seconds
        self.there.add(holder)
        return Look(ours=self.holder == holder, beside=len(self.there) > 1)

    async def give_back(self, holder: str) -> None:
        """End it."""
        self.there.discard(holder)
        if self.holder == holder:
            self.holder = ""


class StubWork:
    """What a server works on: keeps what it was told, and whether its lease was still there at its end."""

    def __init__(self, lease: SharedLease) -> None:
        self.lease, self.looks = lease, list[Look]()
        self.ended_with: str | None = None
        self.hangs = False

    async def looked(self, look: Look, _asked: float) -> None:
        """Keep one."""
        self.looks.append(look)
        await self._tell()

    async def end(self) -> None:
        """Keep who has the lease."""
        self.ended_with = self.lease.holder
        await self._tell()

    async def _tell(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()


def duty_of(lease: SharedLease, holder: str, work: StubWork | None = None) -> Duty:
    return Duty(lease, holder, work or StubWork(lease), clock=lease.clock.time)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the keeper look all the time."""
    monkeypatch.setattr(duty, "RENEW_SECONDS", 0.0)
    monkeypatch.setattr(duty, "TRY_SECONDS", 0.0)


async def become(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not wanted():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0)


def on_clock(test: Callable[[FakeClock], Awaitable[None]]) -> None:
    asyncio.run(test(FakeClock()))  # type: ignore[arg-type]


def test_one_at_a_time_and_the_next_when_the_first_has_ended() -> None:
    """The second server waits; it has the duty as soon as the first one gave it back."""

    async def test(clock: FakeClock) -> None:
        lease = SharedLease(clock)
        old, new = (duty_of(lease, name) for name in ("old", "new"))
        first, second = Life(old.around), Life(new.around)
        await first.began()
        await second.began()
        assert (old.held, new.held) == (True, False)
        await first.end()
        assert not old.held
        await become(lambda: new.held)
        await second.end()
        assert lease.holder == ""

    on_clock(test)


def test_every_server_says_how_far_it_came_before_it_gives_anything_back() -> None:
    """Also one that was never on duty: what it worked on must not be done again by the one that stays."""

    async def test(clock: FakeClock) -> None:
        lease = SharedLease(clock)
        works = [StubWork(lease), StubWork(lease)]
        first, second = (Life(duty_of(lease, name, work).around) for name, work in zip("ab", works, strict=True))
        await first.began()
        await second.began()
        await second.end()
        await first.end()
        assert [work.ended_with for work in works] == ["a", "a"]
        assert (lease.holder, lease.there) == ("", set())

    on_clock(test)


def test_a_server_learns_of_another_one_with_the_lease() -> None:
    """The one on duty asks nothing more for it than for its lease."""

    async def test(clock: FakeClock) -> None:
        lease = SharedLease(clock)
        work = StubWork(lease)
        life = Life(duty_of(lease, "old", work).around)
        await life.began()
        assert not work.looks[0].beside
        await lease.take("new", LASTS_SECONDS)
        await become(lambda: work.looks[-1].beside)
        await life.end()

    on_clock(test)


def test_who_cannot_tell_others_what_it_did_renews_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that hangs in the middle of that costs the patience of one call; at the end as well."""
    monkeypatch.setattr(duty, "PATIENCE_SECONDS", 0.01)

    async def test(clock: FakeClock) -> None:
        lease = SharedLease(clock)
        work = StubWork(lease)
        work.hangs = True
        life = Life(duty_of(lease, "old", work).around)
        await life.began()
        await become(lambda: len(work.looks) > 1)
        await life.end()
        assert lease.holder == ""

    on_clock(test)


def test_a_server_that_vanished_is_succeeded_when_its_lease_is_over() -> None:
    """Not before; and a machine that starts again takes up its own at once."""

    async def test(clock: FakeClock) -> None:
        lease = SharedLease(clock)
        await lease.take("gone", LASTS_SECONDS)
        again = duty_of(lease, "gone")
        life = Life(again.around)
        await life.began()
        assert again.held
        await life.end()
        await lease.take("gone", LASTS_SECONDS)
        new = duty_of(lease, "new")
        life = Life(new.around)
        await life.began()
        assert not new.held
        clock.sleep(LASTS_SECONDS + 1)
        await become(lambda: new.held)
        await life.end()

    on_clock(test)


def test_whoever_cannot_renew_stops_by_itself() -> None:
    """When the database is silent for longer than the lease lasts, another one may have it: nothing runs any more."""

    async def test(clock: FakeClock) -> None:
        lease, ran = SharedLease(clock), []
        mine = duty_of(lease, "mine")

        async def periodic(what: str) -> None:
            ran.append(what)

        guarded = mine.only_on_duty(periodic)
        life = Life(mine.around)
        await life.began()
        lease.silent = True
        await guarded("in time")
        clock.sleep(LASTS_SECONDS + 1)
        await guarded("too late")
        assert ran == ["in time"]
        assert guarded.__name__ == "periodic"
        await life.end()

    on_clock(test)
