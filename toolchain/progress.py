"""One line for each slow step: what is being done, and how long it has taken so far."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TextIO

from toolchain.errors import BuildFailedError

_TAIL_LINES = 15
_LAST_BYTES = 4096
_TERMINAL_TICK = 1.0
_LOG_TICK = 30.0
_TO_LINE_END = "\x1b[K"

_stop = threading.Event()
_side_by_side = threading.Event()


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
        self._live = self._stream.isatty() and not _side_by_side.is_set()
        self._say(f"toolchain: {what} …" + ("" if self._live else "\n"))

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._started

    def tick(self, detail: str = "") -> None:
        """Show how long it has taken so far and what the step's program said last, if it is time to."""
        every = _TERMINAL_TICK if self._live else _LOG_TICK
        if self.seconds - self._shown < every:
            return
        self._shown = self.seconds
        text = f"toolchain: {self._what} … {self.seconds:.0f} s so far{': ' if detail else ''}{detail}"
        if self._live:
            # A line that wraps could not be written over.
            text = text[: shutil.get_terminal_size().columns - 1]
        self._say(f"\r{text}{_TO_LINE_END}" if self._live else f"{text}\n")

    def done(self, outcome: str = "ready") -> None:
        """End the line with what came of it and the seconds it took."""
        text = f"toolchain: {self._what}: {outcome} after {self.seconds:.0f} s"
        self._say(f"\r{text}{_TO_LINE_END}\n" if self._live else f"{text}\n")

    def _say(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def side_by_side(*works: Callable[[], object]) -> None:
    """Do several things at once: compiling needs the processor, pip mostly waits for the network.

    The first failure is the one raised; the programs that the others are running are ended.
    """
    _side_by_side.set()
    try:
        with ThreadPoolExecutor(len(works)) as pool:
            futures = [pool.submit(work) for work in works]
            try:
                ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                # Whatever still runs now, runs for nothing: something failed, or a person pressed ^C.
                _stop.set()
    finally:
        _side_by_side.clear()
        _stop.clear()
    for future in ended:
        future.result()


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
            while not _ended(process) and not _stop.is_set():
                step.tick(_last_line(log))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        step.done("failed")
        tail = log.read_text(errors="replace").strip().splitlines()[-_TAIL_LINES:]
        said = "\n".join(tail) or "nothing"
        raise BuildFailedError(
            f"could not {verb} (exit code {process.returncode}; the whole log is {log}); it said:\n{said}"
        )


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_BYTES))
        lines = file.read().decode(errors="replace").split("\n")
    # The last piece is not a whole line yet.
    return next((line.strip() for line in reversed(lines[:-1]) if line.strip()), "")


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return False
    return True
