"""What every verb needs besides its flags: the world, the environment, the time, and a line to the person waiting."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from clients.endpoints import World

_QUIET_SECONDS = 10.0
_TERMINAL = Path("/dev/tty")


class Progress:
    """Plain lines on standard error: seconds since the start, then what is going on.

    Args:
        stream: where to.
        clock: any clock in seconds.
        terminal: opened for `urgent` lines; the engine keeps a Command's standard error to itself until it fails.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        terminal: Path | None = _TERMINAL,
    ) -> None:
        self._stream = stream
        self._clock, self._terminal = clock, terminal
        self._began = clock()
        self._last_line, self._last_text = self._began - _QUIET_SECONDS, ""

    def say(self, text: str) -> None:
        """Print one line now."""
        self._last_line, self._last_text = self._clock(), text
        stream = self._stream or sys.stderr
        stream.write(f"{self._clock() - self._began:5.0f} s  {text}\n")
        stream.flush()

    def waiting(self, text: str) -> None:
        """Print one line when it says something new, or when nothing was printed for 10 seconds."""
        if text != self._last_text or self._clock() - self._last_line >= _QUIET_SECONDS:
            self.say(text)

    def urgent(self, text: str) -> None:
        """Print one line that a person must see while the engine is still waiting, on the terminal if there is one."""
        self.say(text)
        if self._terminal is None or (self._stream or sys.stderr).isatty():
            return
        with contextlib.suppress(OSError), self._terminal.open("w") as terminal:
            terminal.write(f"\r\n{text}\r\n")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """The surroundings of one run of a verb.

    Attributes:
        world: what --endpoints states.
        poll: seconds between two looks at something that takes time.
        clock: unix seconds.
    """

    world: World
    progress: Progress
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    poll: float = 5.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def until(self, seconds: float) -> Iterator[float]:
        """Yield the seconds left, once at least, sleeping `poll` seconds in between, until `seconds` are over."""
        deadline = self.clock() + seconds
        while True:
            left = deadline - self.clock()
            yield max(0.0, left)
            if left <= 0:
                return
            self.sleep(min(self.poll, left))


def runtime(world: World) -> Runtime:
    """Return the surroundings of a real run; the sandbox answers faster and is asked more often."""
    return Runtime(world=world, progress=Progress(), poll=1.0 if world is World.SANDBOX else 5.0)
