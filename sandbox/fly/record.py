"""What can be seen of one machine: its state, its events, its log and its checks, and who waits for a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.core.clock import Clock
from sandbox.fly.checks import Checker
from sandbox.fly.logs import LogBuffer
from sandbox.fly.models import EVENTS_KEPT, Event, Machine
from sandbox.machines.driver import Driver


@dataclass(frozen=True)
class Surroundings:
    """What a machine's life needs from outside.

    Attributes:
        changed: called after every change of any machine's state.
    """

    clock: Clock
    driver: Driver
    checker: Checker
    logs: LogBuffer
    boot_seconds: float
    changed: Callable[[Machine], None]


class Record:
    """The visible side of one machine.

    Attributes:
        checks: the task that makes the machine's checks while it is started.
    """

    def __init__(self, machine: Machine, around: Surroundings) -> None:
        self.machine = machine
        self.checks: asyncio.Task[None] | None = None
        self._around = around
        self._clock = around.clock
        self._news = asyncio.Event()

    def to(self, state: str) -> None:
        """Change the state and tell who waits for it."""
        self.machine.state = state
        self.machine.updated_at = self._clock.time()
        if state != "started":
            self._end_checks()
        self._news.set()
        self._news = asyncio.Event()
        self._around.changed(self.machine)

    def event(self, kind: str, status: str, source: str, request: dict[str, Any] | None = None) -> None:
        """Note an event; the newest stands first."""
        now = int(self._clock.time() * 1000)
        previous = self.machine.events[0].timestamp_ms if self.machine.events else 0
        self.machine.events.insert(0, Event(kind, status, source, max(now, previous + 1), request))
        del self.machine.events[EVENTS_KEPT:]

    def started(self, source: str) -> None:
        """Show it as started, and begin its checks."""
        self.event("start", "started", source)
        self.to("started")
        self.checks = asyncio.create_task(self._around.checker.run(self.machine))

    def failed_to_start(self, problem: str) -> None:
        """Show that its program could not be booted."""
        self.say(f"Failed to start: {problem}")
        self.event("launch", "failed", "flyd", {"error": problem})
        self.to("failed")

    def log(self, line: str) -> None:
        """Note a line its program has printed."""
        self._around.logs.add(self.machine.app, self.machine.id, self.machine.region, line)

    def say(self, line: str) -> None:
        """Note a line of the platform's."""
        self._around.logs.add(self.machine.app, self.machine.id, self.machine.region, line, provider="runner")

    async def reached(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until `done()`, looked at whenever the machine changes; False after `seconds` of the sandbox's clock."""
        deadline = self._clock.time() + seconds
        while not done():
            remaining = deadline - self._clock.time()
            if remaining <= 0:
                return False
            try:
                await self._clock.wait_for(self._news.wait(), remaining)
            except TimeoutError:
                return done()
        return True

    def show_mistake(self, task: asyncio.Task[None]) -> None:
        """Let a mistake of the sandbox's own show as a failed machine, not as one that is starting for ever."""
        if task.cancelled() or (problem := task.exception()) is None:
            return
        self.say(f"the sandbox could not go on with this machine: {type(problem).__name__}")
        self.to("failed")
        task.get_loop().call_exception_handler({"message": "a machine's life broke", "exception": problem})

    def _end_checks(self) -> None:
        if self.checks is not None:
            self.checks.cancel()
            self.checks = None
        for check in self.machine.checks.values():
            check.status, check.output = "critical", "the machine hasn't started"
            check.updated_at = self._clock.time()


async def cancel(task: asyncio.Task[None] | None) -> None:
    """End a task, unless it is the one that asks, and return when it is over."""
    if task is not None and not task.done() and task is not asyncio.current_task():
        task.cancel()
        await asyncio.wait({task})
