"""Clock, random numbers and rate limits. They are passed in, so that tests can replace them."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Unix seconds, a sleep, and a number in [0, 1)."""

    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random


@dataclass
class Reminder:
    """When to say again what is waited for, so that people are not told at each look.

    Attributes:
        clock: any clock in seconds.
        every: seconds between two times.
    """

    clock: Callable[[], float]
    every: float = 10.0
    _next: float = -math.inf

    def due(self) -> bool:
        """Tell whether to say it now: the first time, and when it was said long enough ago."""
        now = self.clock()
        due = now >= self._next
        if due:
            self._next = now + self.every
        return due


class Pacer:
    """Token buckets, one per name, that keep us under an API's rate limits instead of running into them.

    Args:
        rate: calls a second and bucket.
        burst: calls that may go out at once before the rate applies.
    """

    def __init__(
        self,
        rate: float = 1.0,
        burst: int = 3,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._burst = rate, burst
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}

    def wait(self, bucket: str) -> None:
        """Return when a call of `bucket` may go out. Threads of one process share the buckets."""
        # Virtual scheduling: each bucket holds the time at which it would be full again.
        with self._lock:
            now = self._clock()
            full_at = max(self._next.get(bucket, now), now)
            self._next[bucket] = full_at + 1 / self._rate
            pause = full_at - now - (self._burst - 1) / self._rate
        if pause > 0:
            self._sleep(pause)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110: seconds or a date), None without a usable one.

    Args:
        headers: of the reply; requests' own mapping ignores case.
        now: unix seconds.
    """
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when - datetime.fromtimestamp(now, UTC)).total_seconds()) if when.tzinfo else None
