"""The list of API calls the sandbox has answered, as JSON lines and in memory.

A line holds time, service, method, path and status. Neither bodies nor headers nor the query are written: any of them
may hold a secret.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TypedDict

from sandbox.core.clock import Clock


class Entry(TypedDict):
    """One answered call; `time` in unix seconds, `status` 0 when the connection was dropped instead of an answer."""

    time: float
    service: str
    method: str
    path: str
    status: int


class Journal:
    """Calls in the order in which they were answered.

    Args:
        clock: gives the time of each entry.
        path: the JSON-lines file, appended to; memory only when None.
    """

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self.path = path
        self._clock = clock
        self._entries: list[Entry] = []
        self._lock = threading.Lock()

    def record(self, service: str, method: str, path: str, status: int) -> None:
        """Note one answered call; `path` is taken without its query."""
        entry = Entry(
            time=round(self._clock.time(), 3),
            service=service,
            method=method,
            path=path.partition("?")[0],
            status=status,
        )
        with self._lock:
            self._entries.append(entry)
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(entry) + "\n")

    def entries(self, service: str | None = None) -> list[Entry]:
        """Return the calls of this run so far, of one service when given."""
        with self._lock:
            return [entry for entry in self._entries if service in {None, entry["service"]}]

    def clear(self) -> None:
        """Forget all calls and empty the file."""
        with self._lock:
            self._entries.clear()
            if self.path is not None:
                self.path.write_text("", encoding="utf-8")
