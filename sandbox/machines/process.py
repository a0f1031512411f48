"""Machines as processes of this computer: the same program from the same locked packages, without the walls.

Each machine is a process group of its own with an empty home folder per boot. Its variables travel in its environment,
never in its argv. Memory limits are not enforced here; the container driver does that.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.core.child import bound_to_parent
from sandbox.images import Images, ProgramError, reference_digest
from sandbox.machines.driver import IMAGE_PYTHON, BootError, Exit, ImageNotFoundError, Launch, Log, Output
from sandbox.machines.lines import Lines

_PIPE_SIZE = 1 << 20  # bytes, what Linux lets a program make of a pipe; it has 64 KiB when nobody does
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")


class _Pipe:
    """Copies what comes out of a pipe to a log, line by line."""

    def __init__(self, pipe: int, log: Log) -> None:
        self._pipe = pipe
        self._lines = Lines(log)
        self._open = True
        os.set_blocking(pipe, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe, self._read)

    def finish(self) -> None:
        """Copy what is in the pipe now, and close it: a process that escaped its group may hold it open for ever."""
        if self._open:
            self._read()
        if self._open:
            self._close()

    def _read(self) -> None:
        """Copy all that is in the pipe: one call takes it, since no pipe holds more."""
        with contextlib.suppress(BlockingIOError):
            if printed := os.read(self._pipe, _PIPE_SIZE):
                self._lines.add(printed)
            else:
                self._close()

    def _close(self) -> None:
        self._open = False
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._lines.end()


class ProcessProgram:
    """One process group; `python` is what stands for the image's interpreter.

    It has ended when all it printed is in its log.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        output: _Pipe,
        environment: Mapping[str, str],
        home: Path,
        python: str,
    ) -> None:
        self._process = process
        self._output = output
        self._python = python
        self._environment = environment
        self._home = home

    async def wait(self) -> Exit:
        """Wait for its end, and end what it left behind."""
        returncode = await self._process.wait()
        self._signal_group(signal.SIGKILL)
        self._output.finish()
        return Exit.from_returncode(returncode)

    async def send(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, as an init does."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill the whole group."""
        self._signal_group(signal.SIGKILL)

    async def pause(self) -> None:
        """Stop the whole group."""
        self._signal_group(signal.SIGSTOP)

    async def resume(self) -> None:
        """Continue the whole group."""
        self._signal_group(signal.SIGCONT)

    async def run(self, command: Sequence[str], timeout: float, stdin: str = "") -> Output:  # noqa: ASYNC109 - the API's
        """Run a command with the machine's environment, in its home folder."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(self._python if word == IMAGE_PYTHON else word for word in command),
                env=dict(self._environment),
                cwd=self._home,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as problem:
            return Output(127, stderr=str(problem))
        try:
            out, err = await asyncio.wait_for(process.communicate(stdin.encode()), timeout)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            return Output(124, stderr="deadline_exceeded")
        return Output(process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace"))

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


class ProcessDriver:
    """Runs machines as process groups.

    Args:
        images: how to run which image.
        folder: where the machines' home folders go.
    """

    name = "process"
    real_checks = True

    def __init__(self, images: Images, folder: Path) -> None:
        self._images = images
        self._folder = folder

    async def resolve(self, image: str) -> str:
        """Return the digest of an image a program stands for."""
        if not self._images.known(image):
            raise ImageNotFoundError(image)
        return reference_digest(image)

    async def boot(self, launch: Launch, log: Log) -> ProcessProgram:
        """Start the process the image stands for."""
        try:
            # May install the server's environment the first time, which takes a while: not on the event loop.
            command = await asyncio.to_thread(self._images.command, launch.image, launch.arguments)
        except (ProgramError, OSError) as problem:
            raise BootError(str(problem)) from problem
        home = self._fresh_home(launch.machine_id)
        environment = self._environment(launch, dict(command.environment), home)
        # A pipe of our own: asyncio takes a process for running until its pipes close, and a grandchild may hold them.
        output, write_end = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *bound_to_parent(command.argv, environment),
                env=environment,
                cwd=home,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as problem:
            os.close(output)
            raise BootError(f"could not start {command.argv[0]}: {problem.strerror}") from problem
        finally:
            os.close(write_end)
        return ProcessProgram(process, _Pipe(output, log), environment, home, command.argv[0])

    def check(self, launch_app: str, machine_id: str, path: str) -> tuple[bool, str]:
        """Refuse: this driver's checks are made over the network."""
        raise NotImplementedError

    async def close(self) -> None:
        """Remove the machines' folders; their processes were ended by whoever booted them."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _fresh_home(self, machine_id: str) -> Path:
        home = self._folder / machine_id
        shutil.rmtree(home, ignore_errors=True)  # a machine's root file system does not survive a boot
        home.mkdir(parents=True, mode=0o700)
        return home

    @staticmethod
    def _environment(launch: Launch, of_image: dict[str, str], home: Path) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        of_host = {
            "HOME": str(home),
            "TMPDIR": str(home),
            "PYTHONUNBUFFERED": "1",
            "HOST": launch.private_ip,
            "PREFECT_SERVER_API_HOST": launch.private_ip,
        }
        return {**inherited, **of_image, **launch.environment, **of_host}
