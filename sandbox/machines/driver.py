"""What a machine driver is: it boots programs, and a program can be waited for, signalled and killed."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Log = Callable[[str], None]


IMAGE_PYTHON = "/opt/prefect-server/bin/python"
"""The server image's interpreter; where no image is unpacked, the one that stands for it."""


class BootError(Exception):
    """A program could not be started; the text says why."""


class ImageNotFoundError(Exception):
    """The registry does not hold the image."""


@dataclass(frozen=True)
class Launch:
    """What one boot of a machine needs.

    Attributes:
        environment: the machine's variables, secrets included; never to be put on a command line or into a log.
        memory_mb: the memory limit.
        swap_mb: swap on top of it.
    """

    app: str
    machine_id: str
    image: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    private_ip: str
    memory_mb: int = 256
    swap_mb: int = 0
    entrypoint: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exit:
    """How a program ended: its exit code (128 + n when signal n ended it), that signal or 0, out of memory or not."""

    code: int
    signal: int = 0
    oom_killed: bool = False

    @classmethod
    def from_returncode(cls, returncode: int) -> Exit:
        """Translate what `subprocess` reports, where -n means signal n."""
        return cls(128 - returncode, signal=-returncode) if returncode < 0 else cls(returncode)


@dataclass(frozen=True)
class Output:
    """What a command run inside a machine printed and how it ended."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""


class Program(Protocol):
    """One running program."""

    async def wait(self) -> Exit:
        """Wait for its end; may be awaited by several."""

    async def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""

    async def kill(self) -> None:
        """End it and all it started, at once."""

    async def pause(self) -> None:
        """Freeze it."""

    async def resume(self) -> None:
        """Let it go on."""

    async def run(self, command: Sequence[str], timeout: float, stdin: str = "") -> Output:  # noqa: ASYNC109 - the API's
        """Run a command beside it, in its environment; `stdin` is what it reads."""


class CheckResult(Protocol):
    """A scripted health check result."""

    passing: bool
    output: str


class Driver(Protocol):
    """A way to run machines."""

    name: str
    real_checks: bool  # whether health checks can be made over the network

    async def resolve(self, image: str) -> str:
        """Return the image's digest.

        Raises:
            ImageNotFoundError: it is not in the registry.
        """

    async def boot(self, launch: Launch, log: Log) -> Program:
        """Start the program; its output goes to `log` line by line.

        Raises:
            BootError: it could not be started.
        """

    def check(self, launch_app: str, machine_id: str, path: str) -> tuple[bool, str]:
        """Return a scripted check result; only asked when `real_checks` is false."""

    async def close(self) -> None:
        """Let go of everything."""
