"""Fly's rate limits: per action and app or machine 1 call a second, burst 3; reading one machine 5, burst 10.

Source: fly.io/docs/machines/api/working-with-machines-api. The 429 carries no Retry-After, as seen by others.
"""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.core.clock import Clock

GENEROUS_FACTOR = 10.0


@dataclass
class _Bucket:
    tokens: float
    filled_at: float


class RateLimits:
    """Token buckets, one per action and object.

    Args:
        clock: the sandbox's.
        exact: the documented limits; otherwise ten times as much.
    """

    def __init__(self, clock: Clock, *, exact: bool) -> None:
        self._clock = clock
        self._factor = 1.0 if exact else GENEROUS_FACTOR
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def allow(self, action: str, subject: str, *, rate: float = 1.0, burst: float = 3.0) -> bool:
        """Count one call and tell whether it may be made; `rate` in calls a second."""
        rate, burst = rate * self._factor, burst * self._factor
        now = self._clock.time()
        bucket = self._buckets.setdefault((action, subject), _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.filled_at) * rate)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            return False
        bucket.tokens -= 1.0
        return True

    def clear(self) -> None:
        """Fill all buckets."""
        self._buckets.clear()
