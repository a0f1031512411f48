"""Waiting for machines: to settle, to start, to pass their checks, to be gone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clients.fly.client import FlyClient
from clients.fly.config import has_checks
from clients.fly.errors import FlyConflictError, FlyNotFoundError, FlyTimedOutError, FlyUnhealthyError
from clients.fly.model import TRANSIENT_STATES, Machine

SLICE = 10
"""Seconds of one call to wait: short enough to notice a machine that gave up, and to refresh a lease."""

POLL = 1.0
WITHOUT_CHECKS = 5.0
"""Seconds for which a machine that has no checks must stay started."""

_NEW_FOR = 10.0
_GAVE_UP = frozenset({"failed", "launch_failed", "stopped", "suspended", "destroyed"})


def _nothing() -> None:
    """Keep no lease."""


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
            FlyUnhealthyError: not in time, or it gave up; the text has what the checks and the log said.
        """
        deadline = self.client.timing.clock() + self.within
        started = self._started(machine, deadline)
        if not has_checks(started.config):
            deadline = self.client.timing.clock() + WITHOUT_CHECKS
        return self._passing(started, deadline)

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

    def _started(self, machine: Machine, deadline: float) -> Machine:
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
            if reached:
                return seen
            if seen.state in _GAVE_UP:
                break
            self._pause(f'machine "{machine.name}" is {seen.state}; waiting for it to start')
        raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")

    def _passing(self, machine: Machine, deadline: float) -> Machine:
        timing, checked, told = self.client.timing, has_checks(machine.config), 0.0
        stopped_before = False
        seen = machine
        while True:
            gave_up = seen.state in _GAVE_UP
            if checked and seen.healthy and not gave_up:
                return seen
            if gave_up and stopped_before:
                raise self._unhealthy(seen, f"it is {seen.state}{_exit_of(seen)}")
            # Once may be a moment between two starts; twice is a machine that nobody restarts.
            stopped_before = gave_up
            if timing.clock() >= deadline:
                if not checked and not gave_up:
                    return seen
                raise self._unhealthy(seen, self._complaint(seen))
            if timing.clock() >= told:
                told = timing.clock() + SLICE
                if checked:
                    self.client.progress(f'machine "{machine.name}": {self._complaint(seen)}; waiting')
            timing.sleep(POLL)
            self.keep()
            seen = self.client.machines.get(self.app, machine.id)

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
