"""Keeps one machine's program: boots it, sees it end, boots it again as the restart policy says, halts it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from sandbox.fly.launch import launch_of
from sandbox.fly.record import Record, Surroundings, cancel
from sandbox.machines.driver import BootError, Exit, Launch, Program

DEREGISTER_DELAY = 0.1  # seconds between the edge letting go of a machine and its program's stop signal
_RESTART_WINDOW = 300.0
_LONGEST_BACKOFF = 10.0


class Supervisor:
    """The program of one machine.

    Attributes:
        program: what runs, if anything does.

    Args:
        record: shows what happens.
        around: clock and driver.
        at_rest: awaited when the program has ended by itself and is not started again.
    """

    def __init__(self, record: Record, around: Surroundings, at_rest: Callable[[], Awaitable[None]]) -> None:
        self.program: Program | None = None
        self._record = record
        self._machine = record.machine
        self._around = around
        self._clock = around.clock
        self._at_rest = at_rest
        self._watch: asyncio.Task[None] | None = None
        self._halting = False
        self._restarts: list[float] = []

    async def start(self, source: str) -> None:
        """Boot it afresh, its restarts forgotten."""
        self._machine.restart_count = 0
        self._restarts.clear()
        self._halting = False
        await self._boot(source)

    async def resume(self) -> None:
        """Let a frozen program go on; start it when there is none."""
        if self.program is None:
            await self.start(source="user")
            return
        await self.program.resume()
        self._record.started("user")

    async def halt(self, number: signal.Signals, timeout: float) -> None:  # noqa: ASYNC109 - the API's own word
        """End it: the signal, and SIGKILL after `timeout` seconds."""
        self._halting = True
        if self.program is None:
            await cancel(self._watch)
            return
        await self._clock.sleep(DEREGISTER_DELAY)
        if self.program is not None:
            await self.program.resume()
            await self.program.send(number)
        if self._watch is not None:
            done = asyncio.shield(self._watch)
            try:
                await self._clock.wait_for(done, timeout)
            except TimeoutError:
                if self.program is not None:
                    await self.program.kill()
                await self._watch
        self._watch = None

    async def shut_down(self) -> None:
        """End it at once, whatever the clock says, and note nothing."""
        await cancel(self._watch)
        await cancel(self._record.checks)
        if self.program is not None:
            await self.program.resume()  # a frozen program would not see the signal
            await self.program.send(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.program.wait(), 3.0)
            except TimeoutError:
                await self.program.kill()
                await self.program.wait()
            self.program = None

    async def _boot(self, source: str) -> None:
        # As on Fly there are lines before the program prints any: `fly logs --no-tail` waits for the first.
        self._record.say(f"Pulling container image {self._machine.config['image']}")
        await self._clock.sleep(self._around.boot_seconds)
        try:
            self.program = await self._boot_whole(launch_of(self._machine))
        except BootError as problem:
            self._record.failed_to_start(str(problem))
            return
        self._record.say(f"Machine started in {self._around.boot_seconds:g}s")
        self._record.started(source)
        self._watch = asyncio.create_task(self._supervise(self.program))
        self._watch.add_done_callback(self._record.show_mistake)

    async def _boot_whole(self, launch: Launch) -> Program:
        """Boot so that being cancelled halfway leaves no program running that nobody knows of."""
        boot = asyncio.ensure_future(self._around.driver.boot(launch, self._record.log))
        try:
            return await asyncio.shield(boot)
        except asyncio.CancelledError:
            with contextlib.suppress(BootError):
                await (await boot).kill()
            raise

    async def _supervise(self, program: Program) -> None:
        end = await program.wait()
        self.program = None
        self._note_exit(end)
        if self._halting:
            return
        if self._may_restart(end):
            self._restarts.append(self._clock.time())
            self._machine.restart_count += 1
            self._record.to("restarting")
            await self._clock.sleep(min(0.5 * 2.0 ** len(self._restarts), _LONGEST_BACKOFF))
            self._record.to("starting")
            await self._boot("flyd")
            return
        if self._policy != "no" and end.code != 0:
            self._record.say(f"machine has reached its max restart count of {len(self._restarts)}")
        self._machine.should_run = False
        self._record.to("stopped")
        await self._at_rest()

    def _note_exit(self, end: Exit) -> None:
        restarting = not self._halting and self._may_restart(end)
        how = f"with signal {end.signal}" if end.signal else f"normally with code: {end.code}"
        self._record.say(f"Main child exited {how}")
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
        request = {"exit_event": exit_event, "restart_count": self._machine.restart_count}
        self._record.event("exit", "stopped", "flyd", request)

    @property
    def _policy(self) -> str:
        return str((self._machine.config.get("restart") or {}).get("policy") or "on-failure")

    def _may_restart(self, end: Exit) -> bool:
        if self._policy == "always":
            return True
        if self._policy != "on-failure" or end.code == 0:
            return False
        recent = [at for at in self._restarts if at > self._clock.time() - _RESTART_WINDOW]
        return len(recent) < int(self._machine.config["restart"].get("max_retries") or 10)
