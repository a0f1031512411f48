"""How one machine lives: it is launched, stopped, restarted, suspended, replaced and destroyed.

Operations on one machine run one after the other. Each shows the transient states a caller of the real API sees.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.fly.models import Machine
from sandbox.fly.normalise import seconds_of
from sandbox.fly.record import Record, Surroundings, cancel
from sandbox.fly.supervisor import Supervisor
from sandbox.machines.driver import Program

CREATED_DELAY = 0.3  # seconds a new machine stays "created"
_DESTROY_DELAY = 0.1
_KILL_TIMEOUT = 5.0


class Life:
    """The life of one machine."""

    def __init__(self, machine: Machine, around: Surroundings) -> None:
        self.machine = machine
        self._clock = around.clock
        self._record = Record(machine, around)
        self._runs = Supervisor(self._record, around, self._destroy_if_asked)
        self._turn = asyncio.Lock()
        self._operations: set[asyncio.Task[None]] = set()

    # Operations

    def launch(self) -> None:
        """Bring a new machine up."""
        self.machine.should_run = True
        self._begin(self._launch())

    def prepare(self) -> None:
        """Bring a machine made with skip_launch to rest."""
        self._begin(self._prepare())

    def start(self) -> None:
        """Start a stopped or suspended machine."""
        resume = self.machine.state == "suspended"
        self.machine.should_run = True
        self._record.to("starting")
        self._begin(self._runs.resume() if resume else self._runs.start(source="user"))

    def stop(self, number: signal.Signals | None = None, timeout: float | None = None) -> None:
        """Stop it and leave it stopped."""
        self.machine.should_run = False
        self._record.to("stopping")
        self._begin(self._stop(self._stop_signal(number), self._stop_timeout(timeout)))

    def restart(self, number: signal.Signals | None = None, timeout: float | None = None) -> None:
        """Stop and start it."""
        self.machine.should_run = True
        self._record.event("restart", "restarting", "user")
        self._record.to("restarting")
        self._begin(self._restart(self._stop_signal(number), self._stop_timeout(timeout)))

    def suspend(self) -> None:
        """Freeze it."""
        self.machine.should_run = False
        self._record.to("suspending")
        self._begin(self._suspend())

    def replace(self, config: dict[str, Any], apply: Callable[[], None], *, launch: bool) -> None:
        """Give it another config (set at once by `apply`) and bring that up."""
        number, timeout = self._stop_signal(None), self._stop_timeout(None)
        apply()
        self.machine.config = config
        self.machine.should_run = launch
        self.machine.checks.clear()
        self._record.event("update", "replacing", "user")
        self._record.to("replacing")
        self._begin(self._replace(number, timeout, launch=launch))

    def destroy(self) -> None:
        """Remove it for good, running or not."""
        self.machine.should_run = False
        self._record.event("destroy", "destroying", "user")
        self._record.to("destroying")
        self._begin(self._destroy())

    async def send(self, number: signal.Signals) -> bool:
        """Send its program a signal; False when none runs."""
        if self._runs.program is None:
            return False
        await self._runs.program.send(number)
        return True

    @property
    def program(self) -> Program | None:
        """Return what runs, if anything does."""
        return self._runs.program

    async def reached(self, done: Callable[[], bool], seconds: float) -> bool:
        """Wait until `done()`, looked at whenever the machine changes; False after `seconds` of the sandbox's clock."""
        return await self._record.reached(done, seconds)

    async def end(self) -> None:
        """Destroy it because its app is deleted, without waiting for the clock."""
        self.machine.should_run = False
        self._record.to("destroying")
        await self.shut_down()
        self._record.to("destroyed")

    async def shut_down(self) -> None:
        """End its program because the sandbox ends; its state stays what it is."""
        for task in list(self._operations):
            await cancel(task)
        await self._runs.shut_down()

    # What the operations do, each in its turn

    def _begin(self, work: Awaitable[None]) -> None:
        async def in_turn() -> None:
            async with self._turn:
                await work

        task = asyncio.ensure_future(in_turn())
        self._operations.add(task)
        task.add_done_callback(self._operations.discard)
        task.add_done_callback(self._record.show_mistake)

    async def _prepare(self) -> None:
        await self._clock.sleep(CREATED_DELAY)
        if self.machine.state == "created":
            self._record.to("stopped")

    async def _launch(self) -> None:
        self._record.event("launch", "created", "user")
        await self._clock.sleep(CREATED_DELAY)
        self._record.to("starting")
        await self._runs.start(source="flyd")

    async def _stop(self, number: signal.Signals, timeout: float) -> None:  # noqa: ASYNC109 - the API's own word
        await self._runs.halt(number, timeout)
        self._record.to("stopped")
        await self._destroy_if_asked()

    async def _restart(self, number: signal.Signals, timeout: float) -> None:  # noqa: ASYNC109 - the API's own word
        await self._runs.halt(number, timeout)
        self._record.to("starting")
        await self._runs.start(source="user")

    async def _suspend(self) -> None:
        if self._runs.program is not None:
            await self._runs.program.pause()
        self._record.event("suspend", "suspended", "flyd")
        self._record.to("suspended")

    async def _replace(self, number: signal.Signals, timeout: float, *, launch: bool) -> None:  # noqa: ASYNC109
        await self._runs.halt(number, timeout)
        if not launch:
            self._record.to("stopped")
            return
        self._record.to("starting")
        await self._runs.start(source="flyd")

    async def _destroy(self) -> None:
        await self._runs.halt(signal.SIGKILL, 0.0)
        await self._destroyed()

    async def _destroy_if_asked(self) -> None:
        if self.machine.config.get("auto_destroy"):
            self._record.to("destroying")
            await self._destroyed()

    async def _destroyed(self) -> None:
        await self._clock.sleep(_DESTROY_DELAY)
        self._record.event("destroy", "destroyed", "flyd")
        self._record.to("destroyed")

    def _stop_signal(self, given: signal.Signals | None) -> signal.Signals:
        configured = (self.machine.config.get("stop_config") or {}).get("signal")
        return given or (signal.Signals[str(configured)] if configured else signal.SIGINT)

    def _stop_timeout(self, given: float | None) -> float:
        if given is not None:
            return given
        return seconds_of((self.machine.config.get("stop_config") or {}).get("timeout"), _KILL_TIMEOUT)
