"""Waits for what must happen. A limit here catches what never happens: no test may depend on being fast."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Seconds of real time. Well over what the slowest start takes on a machine that is busy with other work, and below
# pytest's own limit for a test, which can only say where a test hung.
PATIENCE = 900.0


def until(what: Callable[[], T], explain: Callable[[], object] = lambda: "it did not happen", every: float = 0.05) -> T:
    """Wait until `what()` is true and return it; fail with `explain()` after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, explain()
        time.sleep(every)
    return found
