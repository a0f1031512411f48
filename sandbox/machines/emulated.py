"""Machines without a program: boots, exits and check results are scripted, so that a test needs no second process.

A script is found by app, machine id or image (see `Emulated.script`); without one a machine with services or checks
runs until it is stopped and passes its checks, and so does any other: a one-off machine needs a script to end.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from sandbox.core.clock import Clock
from sandbox.images import Images, parse_reference, reference_digest
from sandbox.machines.driver import BootError, Exit, ImageNotFoundError, Launch, Log, Output


@dataclass(kw_only=True)
class Script:
    """What the matching machines do.

    Attributes:
        app: app name, or None for any.
        image: text contained in the image reference, or None for any.
        arguments: `init.cmd`, or None for any.
        machine_id: or None for any.
        environment: variables, each with its value, that the machine must have; a value of None means absent.
        boot_error: do not boot, for this reason.
        lines: what it prints at boot.
        exit_code: end with this code; None runs until stopped.
        exit_after: seconds of the sandbox clock until it ends.
        oom_killed: say that memory ran out.
        passing: what its checks say.
        output: the checks' output.
        ignores_signals: only a kill ends it.
        times: how many boots it is good for; None for all.
        boots: how often it was booted.
    """

    app: str | None = None
    image: str | None = None
    arguments: tuple[str, ...] | None = None
    machine_id: str | None = None
    environment: dict[str, str | None] = field(default_factory=dict, repr=False)
    boot_error: str | None = None
    lines: tuple[str, ...] = ()
    exit_code: int | None = None
    exit_after: float = 0.0
    oom_killed: bool = False
    passing: bool = True
    output: str = "ok"
    ignores_signals: bool = False
    times: int | None = None
    boots: int = 0

    def fits(self, launch: Launch) -> bool:
        """Tell whether this launch is meant."""
        return (
            (self.times is None or self.boots < self.times)
            and self.app in {None, launch.app}
            and self.machine_id in {None, launch.machine_id}
            and (self.image is None or self.image in launch.image)
            and (self.arguments is None or self.arguments == launch.arguments)
            and all(launch.environment.get(name) == value for name, value in self.environment.items())
        )


class EmulatedProgram:
    """A program that only has an end."""

    def __init__(self, script: Script, clock: Clock) -> None:
        self._script = script
        self._end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self._timer = None if script.exit_code is None else asyncio.create_task(self._run(clock))

    async def _run(self, clock: Clock) -> None:
        await clock.sleep(self._script.exit_after)
        self._finish(Exit(self._script.exit_code or 0, oom_killed=self._script.oom_killed))

    def _finish(self, end: Exit) -> None:
        if not self._end.done():
            self._end.set_result(end)
        if self._timer is not None and self._timer is not asyncio.current_task():
            self._timer.cancel()

    async def wait(self) -> Exit:
        """Wait for its end."""
        return await asyncio.shield(self._end)

    async def send(self, number: signal.Signals) -> None:
        """End it, unless it ignores signals; a well-behaved server ends with 0."""
        if number is signal.SIGKILL:
            await self.kill()
        elif not self._script.ignores_signals:
            self._finish(Exit(0))

    async def kill(self) -> None:
        """End it."""
        self._finish(Exit(137, signal=9))

    async def pause(self) -> None:
        """Do nothing: nothing runs."""

    async def resume(self) -> None:
        """Do nothing: nothing runs."""

    async def run(self, command: Sequence[str], timeout: float, stdin: str = "") -> Output:  # noqa: ARG002, ASYNC109 - the API's
        """Echo what it is given to read, or the command."""
        return Output(0, stdout=stdin or " ".join(command) + "\n")


class EmulatedDriver:
    """Scripted machines.

    Attributes:
        launches: every boot, in order, so that a test can look at what a machine was given.
    """

    name = "emulated"
    real_checks = False

    def __init__(self, clock: Clock, images: Images) -> None:
        self._clock = clock
        self._images = images
        self._scripts: list[Script] = []
        self._running: dict[str, Script] = {}
        self.launches: list[Launch] = []

    def script(self, **settings: object) -> Script:
        """Add a script in front of the others; the settings are those of `Script`."""
        script = Script(**settings)  # type: ignore[arg-type]
        self._scripts.insert(0, script)
        return script

    def clear(self) -> None:
        """Forget all scripts and launches."""
        self._scripts.clear()
        self.launches.clear()

    async def resolve(self, image: str) -> str:
        """Return the digest; every image exists unless it is listed as missing."""
        if image in self._images.missing or parse_reference(image).name in self._images.missing:
            raise ImageNotFoundError(image)
        return reference_digest(image)

    async def boot(self, launch: Launch, log: Log) -> EmulatedProgram:
        """Boot as scripted."""
        script = next((script for script in self._scripts if script.fits(launch)), None) or Script()
        script.boots += 1
        self.launches.append(launch)
        if script.boot_error is not None:
            raise BootError(script.boot_error)
        self._running[launch.machine_id] = script
        for line in script.lines:
            log(line)
        return EmulatedProgram(script, self._clock)

    def check(self, launch_app: str, machine_id: str, path: str) -> tuple[bool, str]:  # noqa: ARG002 - the protocol's
        """Return the running script's result."""
        script = self._running.get(machine_id) or Script()
        return script.passing, script.output

    async def close(self) -> None:
        """Nothing is held."""
