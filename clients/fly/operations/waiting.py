"""Waiting for machines: to settle, to start, to pass their checks, to be gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from clients.fly.client import FlyClient
from clients.fly.config import has_checks
from clients.fly.errors import FlyConflictError, FlyNotFoundError, FlyTimedOutError, FlyUnhealthyError
from clients.fly.model import TRANSIENT_STATES, Machine
from clients.loops import until
from clients.redaction import redacted
from clients.timing import Reminder

HEALTHY_WITHIN = 300.0
"""Seconds: a shared CPU that has spent its balance starts a server in two minutes (docs/fly.md)."""
SLICE = 10
"""Seconds of one call to wait: short enough to notice a machine that gave up, and to refresh a lease."""

POLL = 0.25
"""Seconds between two looks at a machine, of which Fly allows five a second: no wait ends later than that."""
WITHOUT_CHECKS = 5.0
"""Seconds for which a machine that has no checks must stay started."""

CRASHES = 3
"""Ends of its own accord after which a machine that is started again and again is not waited for any longer; once or
twice may be a database that was away for a moment."""

_NEW_FOR = 10.0
_BETWEEN_STARTS = 1.0
_GAVE_UP = frozenset({"failed", "launch_failed", "stopped", "suspended", "destroyed"})


def keep_nothing() -> None:
    """Keep no lease."""


@dataclass
class _Ends:
    """How often a machine's program ended of its own accord since `since` (unix milliseconds; None: the first look)."""

    since: int | None
    _known: set[int] = field(default_factory=set)

    def more(self, machine: Machine) -> bool:
        """Look at the machine; tell whether there are new ones. The API keeps only the newest events."""
        if self.since is None:
            # What a previous version did says nothing about this one.
            self.since = _latest(machine)
            return False
        exits = [event for event in machine.events if event.type == "exit" and event.timestamp > self.since]
        new = {event.timestamp for event in exits if event.exit and not event.exit.requested_stop} - self._known
        self._known |= new
        return bool(new)

    @property
    def loop(self) -> bool:
        """Tell whether they are too many to wait for another start."""
        return len(self._known) >= CRASHES


@dataclass
class _Down:
    """Whether a machine has given up: once may be a moment between two starts, for longer nobody restarts it."""

    clock: Callable[[], float]
    now: bool = False
    _since: float | None = None

    def for_good(self, machine: Machine) -> bool:
        """Look at the machine; tell whether it was down before, too, long enough ago."""
        self.now = machine.state in _GAVE_UP
        if not self.now:
            self._since = None
        elif self._since is None:
            self._since = self.clock()
        return self._since is not None and self.clock() - self._since >= _BETWEEN_STARTS


def _latest(machine: Machine) -> int | None:
    return max((event.timestamp for event in machine.events), default=None)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Waits for one machine.

    Attributes:
        within: seconds for the whole of a wait.
        ends_within: seconds that a machine may take besides, before it starts, for what it ran before to end.
        keep: called in every round; refreshes a lease.
        verb: what the machine is being waited for, in the error's sentence.
    """

    client: FlyClient
    app: str
    within: float
    ends_within: float = 0.0
    keep: Callable[[], None] = keep_nothing
    verb: str = "start"

    def healthy(self, machine: Machine) -> Machine:
        """Return the machine once this instance version is started and all its checks pass.

        An empty list of checks is not passing where the config asks for checks.

        Raises:
            FlyUnhealthyError: not in time, it gave up, or its program ends again and again; the text has what the
                checks and the log said.
        """
        ends = _Ends(_latest(machine))
        began = self.client.timing.clock()
        longest = self.ends_within + self.within
        started = self._started(machine, ends, longest)
        left = min(self.within, began + longest - self.client.timing.clock())
        wait = self._passing if has_checks(started.config) else self._steady
        return wait(started, left, ends)

    def settled(self, machine: Machine) -> Machine:
        """Return the machine once it is in no state that ends by itself (starting, stopping, replacing, …).

        Raises:
            FlyTimedOutError: not in time.
        """
        said = Reminder(self.client.timing.clock)
        longest = self.ends_within + self.within
        for left in self._until(longest):
            if machine.state not in TRANSIENT_STATES:
                return machine
            if left < longest:
                machine = self.client.machines.get(self.app, machine.id)
            self.keep()
            if said.due():
                self._say(f'machine "{machine.name}" is {machine.state}; waiting')
        raise FlyTimedOutError(
            f'{self.verb} machine "{machine.name}" of app "{self.app}"',
            f"it has been {machine.state} for {longest:.0f} s",
        )

    def reached(self, machine: Machine, state: str, *, version: str = "") -> bool:
        """Wait for `state`; tell whether it came in time. A machine that is gone counts as destroyed.

        Raises:
            FlyNotFoundError: the machine vanished while waiting for another state.
        """
        for left in self._until(self.within, every=0):
            self.keep()
            seconds = max(1, min(SLICE, int(left)))
            try:
                if left and self.client.machines.wait(self.app, machine, state, version=version, seconds=seconds):
                    return True
            except FlyNotFoundError:
                if state == "destroyed":
                    return True
                raise
        return False

    def _started(self, machine: Machine, ends: _Ends, longest: float) -> Machine:
        seen, down, said = machine, _Down(self.client.timing.clock), Reminder(self.client.timing.clock)
        for left in self._until(longest):
            try:
                reached, seen = self._wait_and_read(machine, left)
            except (FlyNotFoundError, FlyConflictError):
                # A new machine is not known everywhere at once; 409 is a host that does not answer for a moment.
                if longest - left >= _NEW_FOR or not left:
                    raise
                if said.due():
                    self._say(f'machine "{machine.name}" is not known everywhere yet; waiting')
                continue
            self._look(seen, ends)
            if reached:
                return seen
            if down.for_good(seen):
                break
            if said.due():
                self._say(f'machine "{machine.name}" is {seen.state}; waiting for it to start')
        raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")

    def _wait_and_read(self, machine: Machine, left: float) -> tuple[bool, Machine]:
        """Wait a slice for the start of this version; tell whether it came, and how the machine is now."""
        self.keep()
        seconds = max(1, min(SLICE, int(left)))
        reached = self.client.machines.wait(self.app, machine, "started", version=machine.instance_id, seconds=seconds)
        return reached, self.client.machines.get(self.app, machine.id)

    def _passing(self, machine: Machine, within: float, ends: _Ends) -> Machine:
        seen, down, said = machine, _Down(self.client.timing.clock), Reminder(self.client.timing.clock)
        for left in self._until(within):
            if left < within:
                seen, _ = self._next(seen, ends)
            given_up = down.for_good(seen)
            if seen.healthy and not down.now:
                return seen
            if given_up:
                raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")
            if said.due():
                self._say(f'machine "{machine.name}": {self._complaint(seen)}; waiting')
        raise self._unhealthy(seen, self._complaint(seen))

    def _steady(self, machine: Machine, within: float, ends: _Ends) -> Machine:
        """Return a machine without checks once it has stayed started for a while."""
        timing, seen = self.client.timing, machine
        down = _Down(timing.clock)
        since, within = timing.clock(), max(within, WITHOUT_CHECKS)
        for left in self._until(within):
            if left < within:
                seen, ended = self._next(seen, ends)
                since = timing.clock() if ended or seen.state != "started" else since
            if seen.state == "started" and timing.clock() - since >= WITHOUT_CHECKS:
                return seen
            if down.for_good(seen):
                raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")
        raise self._unhealthy(seen, f"it is {seen.state} and does not stay started{_exit_of(seen)}")

    def _next(self, machine: Machine, ends: _Ends) -> tuple[Machine, bool]:
        """Read the machine; tell whether its program ended since the last look."""
        self.keep()
        seen = self.client.machines.get(self.app, machine.id)
        return seen, self._look(seen, ends)

    def _look(self, machine: Machine, ends: _Ends) -> bool:
        """Fail on a crash loop; tell whether the program ended since the last look."""
        ended = ends.more(machine)
        if ends.loop:
            raise self._unhealthy(machine, f"it starts again and again{_exit_of(machine)}")
        return ended

    def _complaint(self, machine: Machine) -> str:
        failing = [check for check in machine.own_checks if check.status != "passing"]
        if not machine.own_checks:
            return f"it is {machine.state} and no check has reported yet{_exit_of(machine)}"
        said = "; ".join(f'check "{check.name}" is {check.status}: {check.output.strip()[:300]}' for check in failing)
        return f"{said or 'its checks pass by now'}{_exit_of(machine)}"

    def _unhealthy(self, machine: Machine, said: str) -> FlyUnhealthyError:
        log = self.client.logs.tail(self.app, machine.id)
        doing = f'{self.verb} machine "{machine.name}" of app "{self.app}" within {self.within:.0f} s'
        return FlyUnhealthyError(doing, said, log=log)

    def _until(self, seconds: float, every: float = POLL) -> Iterator[float]:
        return until(seconds, timing=self.client.timing, every=every)

    def _say(self, message: str) -> None:
        self.client.progress(redacted(message))


def _exit_of(machine: Machine) -> str:
    ended = machine.last_exit()
    if ended is None or ended.requested_stop:
        return ""
    return f", its program last ended with exit code {ended.exit_code}{', out of memory' if ended.oom_killed else ''}"
