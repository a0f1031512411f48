"""One look at a list for all who want it: a refresh would ask for it once for each resource that is in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Seen = TypeVar("Seen")

LASTS = 5.0
"""Seconds, counted from when the call began."""


@dataclass
class _Look(Generic[Seen]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    at: float = 0.0
    seen: Seen | None = None
    askers: set[str] = field(default_factory=set)


class SharedLooks(Generic[Seen]):
    """What was seen a moment ago, by what was looked at. Nobody is shown a look twice: who asks again wants news.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: dict[Hashable, _Look[Seen]] = {}

    def at(self, what: Hashable, asker: str, ask: Callable[[], Seen]) -> Seen:
        """Return what another asker just saw, or ask; askers at the same time wait for the one that asks.

        A look may be a few seconds old, so only believe one that shows what is expected.
        """
        # One step, so that threads that come at the same time get the same one.
        look = self._looks.setdefault(what, _Look())
        with look.lock:
            if look.seen is not None and asker not in look.askers and self._clock() - look.at <= LASTS:
                look.askers.add(asker)
                return look.seen
            look.seen, look.at = None, self._clock()
            look.seen = seen = ask()
            look.askers = {asker}
            return seen

    def forget(self, what: Hashable) -> None:
        """Show nobody what was seen so far: it was changed since, or may have been."""
        self._looks.pop(what, None)
