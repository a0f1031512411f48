"""Waiting for machines: to settle, to start, to pass their checks, to be gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from clients.fly.client import FlyClient
from clients.fly.config import has_checks
from clients.fly.errors import FlyConflictError, FlyNotFoundError, FlyTimedOutError, FlyUnhealthyError
from clients.fly.model import TRANSIENT_STATES, Machine

SLICE = 10
"""Seconds of one call to wait: short enough to notice a machine that gave up, and to refresh a lease."""

POLL = 1.0
WITHOUT_CHECKS = 5.0
"""Seconds for which a machine that has no checks must stay started."""

CRASHES = 3
"""Ends of its own accord after which a machine that is started again and again is not waited for any longer; once or
twice may be a database that was away for a moment."""

_NEW_FOR = 10.0
_GAVE_UP = frozenset({"failed", "launch_failed", "stopped", "suspended", "destroyed"})


def _nothing() -> None:
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


def _latest(machine: Machine) -> int | None:
    return max((event.timestamp for event in machine.events), default=None)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """Waits for one machine.

    Attributes:
        within: seconds for the whole of a wait.
        keep: called in every round; refreshes a lease.
        verb: what the machine is being waited for, in the error's sentence.
    """

    client: FlyClient
    app: str
    within: float
    keep: Callable[[], None] = _nothing
    verb: str = "start"

    def healthy(self, machine: Machine) -> Machine:
        """Return the machine once this instance version is started and all its checks pass.

        An empty list of checks is not passing where the config asks for checks.

        Raises:
            FlyUnhealthyError: not in time, it gave up, or its program ends again and again; the text has what the
                checks and the log said.
        """
        deadline = self.client.timing.clock() + self.within
        ends = _Ends(_latest(machine))
        started = self._started(machine, deadline, ends)
        if has_checks(started.config):
            return self._passing(started, deadline, ends)
        return self._steady(started, deadline, ends)

    def settled(self, machine: Machine) -> Machine:
        """Return the machine once it is in no passing state (starting, stopping, replacing, …).

        Raises:
            FlyTimedOutError: not in time.
        """
        deadline = self.client.timing.clock() + self.within
        while machine.state in TRANSIENT_STATES:
            if self.client.timing.clock() >= deadline:
                raise FlyTimedOutError(
                    f'{self.verb} machine "{machine.name}" of app "{self.app}"',
                    f"it has been {machine.state} for {self.within:.0f} s",
                )
            self._pause(f'machine "{machine.name}" is {machine.state}; waiting')
            machine = self.client.machines.get(self.app, machine.id)
        return machine

    def reached(self, machine: Machine, state: str, *, version: str = "") -> bool:
        """Wait for `state`; tell whether it came in time. A machine that is gone counts as destroyed.

        Raises:
            FlyNotFoundError: the machine vanished while waiting for another state.
        """
        deadline = self.client.timing.clock() + self.within
        while (left := deadline - self.client.timing.clock()) > 0:
            self.keep()
            try:
                if self.client.machines.wait(
                    self.app, machine, state, version=version, seconds=max(1, min(SLICE, int(left)))
                ):
                    return True
            except FlyNotFoundError:
                if state == "destroyed":
                    return True
                raise
        return False

    def _started(self, machine: Machine, deadline: float, ends: _Ends) -> Machine:
        new_until = self.client.timing.clock() + _NEW_FOR
        seen = machine
        while (left := deadline - self.client.timing.clock()) > 0:
            self.keep()
            try:
                seconds = max(1, min(SLICE, int(left)))
                version = machine.instance_id
                reached = self.client.machines.wait(self.app, machine, "started", version=version, seconds=seconds)
                seen = self.client.machines.get(self.app, machine.id)
            except (FlyNotFoundError, FlyConflictError):
                # A new machine is not known everywhere at once; 409 is a host that does not answer for a moment.
                if self.client.timing.clock() >= new_until:
                    raise
                self._pause(f'machine "{machine.name}" is not known everywhere yet; waiting')
                continue
            self._look(seen, ends)
            if reached:
                return seen
            if seen.state in _GAVE_UP:
                break
            self._pause(f'machine "{machine.name}" is {seen.state}; waiting for it to start')
        raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")

    def _passing(self, machine: Machine, deadline: float, ends: _Ends) -> Machine:
        timing, told = self.client.timing, 0.0
        stopped_before = False
        seen = machine
        while True:
            gave_up = seen.state in _GAVE_UP
            if seen.healthy and not gave_up:
                return seen
            if gave_up and stopped_before:
                raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")
            # Once may be a moment between two starts; twice is a machine that nobody restarts.
            stopped_before = gave_up
            if timing.clock() >= deadline:
                raise self._unhealthy(seen, self._complaint(seen))
            if timing.clock() >= told:
                told = timing.clock() + SLICE
                self.client.progress(f'machine "{machine.name}": {self._complaint(seen)}; waiting')
            seen, _ = self._next(seen, ends)

    def _steady(self, machine: Machine, deadline: float, ends: _Ends) -> Machine:
        """Return a machine without checks once it has stayed started for a while."""
        timing, seen = self.client.timing, machine
        since = timing.clock()
        deadline = max(deadline, since + WITHOUT_CHECKS)
        stopped_before = False
        while True:
            gave_up = seen.state in _GAVE_UP
            if seen.state == "started" and timing.clock() - since >= WITHOUT_CHECKS:
                return seen
            if gave_up and stopped_before:
                raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")
            stopped_before = gave_up
            if timing.clock() >= deadline:
                raise self._unhealthy(seen, f"it is {seen.state} and does not stay started{_exit_of(seen)}")
            seen, ended = self._next(seen, ends)
            if ended or seen.state != "started":
                since = timing.clock()

    def _next(self, machine: Machine, ends: _Ends) -> tuple[Machine, bool]:
        """Wait a moment and read the machine; tell whether its program ended meanwhile."""
        self.client.timing.sleep(POLL)
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
        failing = [check for check in machine.checks if check.status != "passing"]
        if not machine.checks:
            return f"it is {machine.state} and no check has reported yet{_exit_of(machine)}"
        said = "; ".join(f'check "{check.name}" is {check.status}: {check.output.strip()[:300]}' for check in failing)
        return f"{said or 'its checks pass by now'}{_exit_of(machine)}"

    def _unhealthy(self, machine: Machine, said: str) -> FlyUnhealthyError:
        log = self.client.logs.tail(self.app, machine.id)
        doing = f'{self.verb} machine "{machine.name}" of app "{self.app}" within {self.within:.0f} s'
        return FlyUnhealthyError(doing, said, log=log)

    def _pause(self, message: str) -> None:
        self.keep()
        self.client.progress(message)
        self.client.timing.sleep(POLL)


def _exit_of(machine: Machine) -> str:
    ended = machine.last_exit()
    if ended is None or ended.requested_stop:
        return ""
    return f", its program last ended with exit code {ended.exit_code}{', out of memory' if ended.oom_killed else ''}"
