"""What every verb needs besides its flags: the world, the environment, a clock, and progress for people."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TextIO

from clients.endpoints import World
from clients.loops import until
from clients.timing import Timing

_QUIET_SECONDS = 10.0
_FIRST_POLL = 0.2

LONGEST_LINE = 4000
"""Characters of a line that people and the engine get. The command plugin waits for ever after a line of 64 KB."""


def cut_lines(text: str) -> str:
    """Return `text` with each line cut to what the command plugin can read."""
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} [{len(line) - LONGEST_LINE} characters cut off]"
        for line in text.split("\n")
    )


class Progress:
    """Plain lines on standard error, which the engine shows as they come: seconds since the start, and what goes on.

    Args:
        stream: where to.
        clock: any clock in seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._began = clock()
        self._last_line, self._last_text = self._began - _QUIET_SECONDS, ""

    def say(self, text: str) -> None:
        """Print one line now."""
        self._last_line, self._last_text = self._clock(), text
        stream = self._stream or sys.stderr
        stream.write(f"{self._clock() - self._began:5.0f} s  {cut_lines(text)}\n")
        stream.flush()

    def waiting(self, text: str, left: float | None = None) -> None:
        """Print one line when it says something new, or when nothing was printed for 10 seconds.

        Args:
            text: what is waited for.
            left: seconds until the wait is given up; a countdown alone says nothing new.
        """
        if text != self._last_text or self._clock() - self._last_line >= _QUIET_SECONDS:
            self.say(text if left is None else f"{text}; {left:.0f} s left")
            self._last_text = text


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What one run of a verb works with.

    Attributes:
        world: what --endpoints states.
        poll: seconds at most between two looks at something that takes time.
        lag: seconds that an answer may be behind what just happened.
        clock: unix seconds.
    """

    world: World
    progress: Progress
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    poll: float = 2.0
    lag: float = 5.0
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def until(self, seconds: float) -> Iterator[float]:
        """Yield the seconds left, once at least, with pauses of `poll` seconds at most, until `seconds` are over."""
        timing = Timing(clock=self.clock, sleep=self.sleep)
        return until(seconds, timing=timing, every=self.poll, first=min(_FIRST_POLL, self.poll))


def runtime(world: World) -> Runtime:
    """Return the Runtime of a real run. It asks the sandbox more often, because that answers faster."""
    poll, lag = (0.25, 1.0) if world is World.SANDBOX else (2.0, 5.0)
    return Runtime(world=world, progress=Progress(), poll=poll, lag=lag)
