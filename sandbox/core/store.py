"""State on disk: one JSON file that only its owner can read, replaced as a whole."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_private_json(path: Path, value: Any) -> None:
    """Replace `path` by `value` as JSON, mode 0600; a reader sees the old or the new file, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            # As a whole and without indentation: all else is encoded in Python, at eight times the price (3.11).
            stream.write(json.dumps(value))
        Path(temporary).replace(path)
    except BaseException:  # ^C as well: what was begun is put back, and it is raised again
        Path(temporary).unlink(missing_ok=True)
        raise


class Store:
    """Named sections of state, saved together.

    Args:
        path: the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._sections: dict[str, Callable[[], Any]] = {}
        self._loaded: dict[str, Any] = {}
        if path is not None and path.exists():
            self._loaded = json.loads(path.read_text(encoding="utf-8"))

    def section(self, name: str, dump: Callable[[], Any]) -> Any:
        """Register a section by the function that returns its JSON; returns what was saved of it earlier, or None."""
        self._sections[name] = dump
        return self._loaded.get(name)

    def save(self) -> None:
        """Write all sections."""
        if self.path is not None:
            write_private_json(self.path, {name: dump() for name, dump in self._sections.items()})
