"""A lock between processes, so that parallel tests and two terminals build a thing once."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from toolchain.places import LOCKS


@contextmanager
def exclusive(name: str) -> Iterator[None]:
    """Hold the lock of that name; the operating system frees it if this process dies."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    with (LOCKS / name).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
