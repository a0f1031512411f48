"""One line per slow step: what is being done, and for how long so far."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from toolchain.errors import BuildFailedError

_TAIL_LINES = 15
_TERMINAL_TICK = 1.0
_LOG_TICK = 30.0


class Step:
    """Shows one slow step on stderr: every second on a terminal, every half minute in a log.

    Args:
        what: what the step makes, in words.
        stream: where to write; stderr unless a test gives another.
    """

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = stream or sys.stderr
        self._started = time.monotonic()
        self._shown = 0.0
        self._live = self._stream.isatty()
        self._say(f"toolchain: {what} …" + ("" if self._live else "\n"))

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started

    def tick(self) -> None:
        """Show how long it has taken so far, if it is time to."""
        every = _TERMINAL_TICK if self._live else _LOG_TICK
        if self.seconds - self._shown < every:
            return
        self._shown = self.seconds
        text = f"toolchain: {self._what} … {self.seconds:.0f} s so far"
        self._say(f"\r{text}" if self._live else f"{text}\n")

    def done(self, outcome: str = "ready") -> None:
        """End the line with what came of it and the seconds it took."""
        text = f"toolchain: {self._what}: {outcome} after {self.seconds:.0f} s\n"
        self._say(f"\r{text}" if self._live else text)

    def _say(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def run_step(
    step: Step,
    argv: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    verb: str,
    log: Path,
) -> None:
    """Run one program of a step with its output in a log file and the step's clock shown.

    Raises:
        BuildFailedError: it ended with an error; the text holds the last lines it printed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        process = subprocess.Popen(argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        try:
            while not _ended(process):
                step.tick()
        except BaseException:
            process.kill()
            process.wait()
            raise
    if process.returncode != 0:
        step.done("failed")
        tail = log.read_text(errors="replace").strip().splitlines()[-_TAIL_LINES:]
        said = "\n".join(tail) or "nothing"
        raise BuildFailedError(
            f"could not {verb} (exit code {process.returncode}; the whole log is {log}); it said:\n{said}"
        )


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return False
    return True
