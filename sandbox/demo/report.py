"""What the demo prints: steps with their times, and tables that read well in a terminal and in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_BOLD, _RESET = "\033[1m", "\033[0m"


def heading(text: str) -> None:
    """Print a heading, bold in a terminal."""
    bold, reset = (_BOLD, _RESET) if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}== {text}{reset}", flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print what is done, and how long it took."""
    heading(text)
    started = time.monotonic()
    yield
    print(f"   ({time.monotonic() - started:.0f} s)", flush=True)


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Lay out label and value in two columns; a value of several lines keeps its column."""
    width = max(len(label) for label, _value in rows)
    lines = []
    for label, value in rows:
        first, *rest = value.splitlines() or [""]
        lines.append(f"  {label:<{width}}  {first}")
        lines += [f"  {'':<{width}}  {line}" for line in rest]
    return "\n".join(lines)
