"""How one machine lives: it boots, is watched, restarted as its policy says, stopped, replaced and destroyed.

Operations on one machine run one after the other. Each shows the transient states a caller of the real API sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sandbox.core.clock import Clock
from sandbox.fly.checks import Checker
from sandbox.fly.launch import launch_of
from sandbox.fly.logs import LogBuffer
from sandbox.fly.models import EVENTS_KEPT, Event, Machine
from sandbox.fly.normalise import seconds_of
from sandbox.machines.driver import BootError, Driver, Exit, Launch, Program

DEREGISTER_DELAY = 0.1  # seconds between the edge letting go of a machine and its program's stop signal
CREATED_DELAY = 0.3  # seconds a new machine stays "created"
_DESTROY_DELAY = 0.1
_KILL_TIMEOUT = 5.0
_RESTART_WINDOW = 300.0
_LONGEST_BACKOFF = 10.0


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


class Life:
    """The life of one machine."""

    def __init__(self, machine: Machine, around: Surroundings) -> None:
        self.machine = machine
        self._around = around
        self._clock = around.clock
        self._turn = asyncio.Lock()
        self._program: Program | None = None
        self._watch: asyncio.Task[None] | None = None
        self._checks: asyncio.Task[None] | None = None
        self._halting = False
        self._restarts: list[float] = []
        self._operations: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

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
        self.to("starting")
        self._begin(self._resume() if resume else self._start(source="user"))

    def stop(self, number: signal.Signals | None = None, timeout: float | None = None) -> None:
        """Stop it and leave it stopped."""
        self.machine.should_run = False
        self.to("stopping")
        self._begin(self._stop(self._stop_signal(number), self._stop_timeout(timeout)))

    def restart(self, number: signal.Signals | None = None, timeout: float | None = None) -> None:
        """Stop and start it."""
        self.machine.should_run = True
        self.event("restart", "restarting", "user")
        self.to("restarting")
        self._begin(self._restart(self._stop_signal(number), self._stop_timeout(timeout)))

    def suspend(self) -> None:
        """Freeze it."""
        self.machine.should_run = False
        self.to("suspending")
        self._begin(self._suspend())

    def replace(self, config: dict[str, Any], apply: Callable[[], None], *, launch: bool) -> None:
        """Give it another config (set at once by `apply`) and bring that up."""
        number, timeout = self._stop_signal(None), self._stop_timeout(None)
        apply()
        self.machine.config = config
        self.machine.should_run = launch
        self.machine.checks.clear()
        self.event("update", "replacing", "user")
        self.to("replacing")
        self._begin(self._replace(number, timeout, launch=launch))

    def destroy(self) -> None:
        """Remove it for good, running or not."""
        self.machine.should_run = False
        self.event("destroy", "destroying", "user")
        self.to("destroying")
        self._begin(self._destroy())

    async def send(self, number: signal.Signals) -> bool:
        """Send its program a signal; False when none runs."""
        if self._program is None:
            return False
        await self._program.send(number)
        return True

    @property
    def program(self) -> Program | None:
        """Return what runs, if anything does."""
        return self._program

    async def end(self) -> None:
        """Destroy it because its app is deleted, without waiting for the clock."""
        self.machine.should_run = False
        self.to("destroying")
        await self.shut_down()
        self.to("destroyed")

    async def shut_down(self) -> None:
        """End its program because the sandbox ends; its state stays what it is."""
        for task in [*self._operations, self._watch, self._checks]:
            await _cancel(task)
        if self._program is not None:
            await self._program.resume()  # a frozen program would not see the signal
            await self._program.send(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._program.wait(), 3.0)
            except TimeoutError:
                await self._program.kill()
                await self._program.wait()
            self._program = None

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

    # What the operations do, each in its turn

    def _begin(self, work: Awaitable[None]) -> None:
        async def in_turn() -> None:
            async with self._turn:
                await work

        task = asyncio.ensure_future(in_turn())
        self._operations.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Let a mistake of the sandbox's own show as a failed machine, not as one that is starting for ever."""
        self._operations.discard(task)
        if task.cancelled() or (problem := task.exception()) is None:
            return
        self._say(f"the sandbox could not go on with this machine: {type(problem).__name__}")
        self.to("failed")
        task.get_loop().call_exception_handler({"message": "a machine's life broke", "exception": problem})

    async def _prepare(self) -> None:
        await self._clock.sleep(CREATED_DELAY)
        if self.machine.state == "created":
            self.to("stopped")

    async def _launch(self) -> None:
        self.event("launch", "created", "user")
        await self._clock.sleep(CREATED_DELAY)
        self.to("starting")
        await self._start(source="flyd")

    async def _start(self, source: str) -> None:
        self.machine.restart_count = 0
        self._restarts.clear()
        self._halting = False
        await self._boot(source)

    async def _resume(self) -> None:
        if self._program is None:
            await self._start(source="user")
            return
        await self._program.resume()
        self._started("user")

    async def _stop(self, number: signal.Signals, timeout: float) -> None:  # noqa: ASYNC109 - the API's own word
        await self._halt(number, timeout)
        self.to("stopped")
        await self._destroy_if_asked()

    async def _restart(self, number: signal.Signals, timeout: float) -> None:  # noqa: ASYNC109 - the API's own word
        await self._halt(number, timeout)
        self.to("starting")
        await self._start(source="user")

    async def _suspend(self) -> None:
        if self._program is not None:
            await self._program.pause()
        self.event("suspend", "suspended", "flyd")
        self.to("suspended")

    async def _replace(self, number: signal.Signals, timeout: float, *, launch: bool) -> None:  # noqa: ASYNC109
        await self._halt(number, timeout)
        if not launch:
            self.to("stopped")
            return
        self.to("starting")
        await self._start(source="flyd")

    async def _destroy(self) -> None:
        await self._halt(signal.SIGKILL, 0.0)
        await self._clock.sleep(_DESTROY_DELAY)
        self.event("destroy", "destroyed", "flyd")
        self.to("destroyed")

    async def _destroy_if_asked(self) -> None:
        if self.machine.config.get("auto_destroy"):
            self.to("destroying")
            await self._clock.sleep(_DESTROY_DELAY)
            self.event("destroy", "destroyed", "flyd")
            self.to("destroyed")

    async def _halt(self, number: signal.Signals, timeout: float) -> None:  # noqa: ASYNC109 - the API's own word
        self._halting = True
        if self._program is None:
            await _cancel(self._watch)
            return
        await self._clock.sleep(DEREGISTER_DELAY)
        if self._program is not None:
            await self._program.resume()
            await self._program.send(number)
        if self._watch is not None:
            done = asyncio.shield(self._watch)
            try:
                await self._clock.wait_for(done, timeout)
            except TimeoutError:
                if self._program is not None:
                    await self._program.kill()
                await self._watch
        self._watch = None

    # Booting and what follows

    async def _boot(self, source: str) -> None:
        await self._clock.sleep(self._around.boot_seconds)
        machine = self.machine
        try:
            self._program = await self._boot_whole(launch_of(machine))
        except BootError as problem:
            self._say(f"Failed to start: {problem}")
            self.event("launch", "failed", "flyd", {"error": str(problem)})
            self.to("failed")
            return
        self._started(source)
        self._watch = asyncio.create_task(self._supervise(self._program))
        self._watch.add_done_callback(self._ended)

    async def _boot_whole(self, launch: Launch) -> Program:
        """Boot so that being cancelled halfway leaves no program running that nobody knows of."""
        boot = asyncio.ensure_future(self._around.driver.boot(launch, self._log))
        try:
            return await asyncio.shield(boot)
        except asyncio.CancelledError:
            with contextlib.suppress(BootError):
                await (await boot).kill()
            raise

    def _started(self, source: str) -> None:
        self.event("start", "started", source)
        self.to("started")
        self._checks = asyncio.create_task(self._around.checker.run(self.machine))

    async def _supervise(self, program: Program) -> None:
        end = await program.wait()
        self._program = None
        self._note_exit(end)
        if self._halting:
            return
        if self._may_restart(end):
            self._restarts.append(self._clock.time())
            self.machine.restart_count += 1
            self.to("restarting")
            await self._clock.sleep(min(0.5 * 2.0 ** len(self._restarts), _LONGEST_BACKOFF))
            self.to("starting")
            await self._boot("flyd")
            return
        if self._policy != "no" and end.code != 0:
            self._say(f"machine has reached its max restart count of {len(self._restarts)}")
        self.machine.should_run = False
        self.to("stopped")
        await self._destroy_if_asked()

    def _note_exit(self, end: Exit) -> None:
        restarting = not self._halting and self._may_restart(end)
        how = f"with signal {end.signal}" if end.signal else f"normally with code: {end.code}"
        self._say(f"Main child exited {how}")
        exit_event = {
            "exit_code": end.code,
            "guest_exit_code": 0 if end.signal else end.code,
            "guest_signal": end.signal or -1,
            "oom_killed": end.oom_killed,
            "requested_stop": self._halting,
            "restarting": restarting,
            "signal": end.signal or -1,
            "exited_at": self._clock.rfc3339(),
        }
        request = {"exit_event": exit_event, "restart_count": self.machine.restart_count}
        self.event("exit", "stopped", "flyd", request)

    @property
    def _policy(self) -> str:
        return str((self.machine.config.get("restart") or {}).get("policy") or "on-failure")

    def _may_restart(self, end: Exit) -> bool:
        if self._policy == "always":
            return True
        if self._policy != "on-failure" or end.code == 0:
            return False
        recent = [at for at in self._restarts if at > self._clock.time() - _RESTART_WINDOW]
        return len(recent) < int(self.machine.config["restart"].get("max_retries") or 10)

    def _end_checks(self) -> None:
        if self._checks is not None:
            self._checks.cancel()
            self._checks = None
        for check in self.machine.checks.values():
            check.status, check.output = "critical", "the machine hasn't started"
            check.updated_at = self._clock.time()

    def _stop_signal(self, given: signal.Signals | None) -> signal.Signals:
        configured = (self.machine.config.get("stop_config") or {}).get("signal")
        return given or (signal.Signals[str(configured)] if configured else signal.SIGINT)

    def _stop_timeout(self, given: float | None) -> float:
        if given is not None:
            return given
        return seconds_of((self.machine.config.get("stop_config") or {}).get("timeout"), _KILL_TIMEOUT)

    def _log(self, line: str) -> None:
        self._around.logs.add(self.machine.app, self.machine.id, self.machine.region, line)

    def _say(self, line: str) -> None:
        self._around.logs.add(self.machine.app, self.machine.id, self.machine.region, line, provider="runner")


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None and not task.done() and task is not asyncio.current_task():
        task.cancel()
        await asyncio.wait({task})
