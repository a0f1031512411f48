"""The sandbox's one clock: everything that takes time there asks this object, never the operating system.

By default it follows real time and can be pushed forward. A manual clock stands still until it is advanced, which lets
a test see five minutes pass at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import threading
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")

_TURNS_PER_STEP = 20  # event-loop turns given to woken tasks before the next deadline is looked at


class Clock:
    """Unix time in seconds, sleeps on it, and a way to push it forward.

    Args:
        manual: stand still until advanced.
        start: unix seconds to begin at; now when not given.
    """

    def __init__(self, *, manual: bool = False, start: float | None = None) -> None:
        self.manual = manual
        self._base = time.time() if start is None else start
        self._started = time.monotonic()
        self._advanced = 0.0
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def time(self) -> float:
        """Return the sandbox's unix time in seconds."""
        elapsed = 0.0 if self.manual else time.monotonic() - self._started
        return self._base + elapsed + self._advanced

    def rfc3339(self, at: float | None = None) -> str:
        """Return `at` (now when not given) the way the APIs print times: UTC, to the millisecond."""
        moment = datetime.fromtimestamp(self.time() if at is None else at, tz=UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def sleep(self, seconds: float) -> None:
        """Wait until `seconds` have passed on this clock."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._lock:
            deadline = self.time() + seconds
            heapq.heappush(self._sleepers, (deadline, next(self._order), future))
        # The margin keeps the timer from firing a hair before the deadline it is meant to meet.
        timer = None if self.manual else loop.call_later(seconds + 0.001, self._wake_due)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()

    async def wait_for(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Await `awaitable` for at most `seconds` of this clock.

        Raises:
            TimeoutError: it was not done in time; it is cancelled then.
        """
        task = asyncio.ensure_future(awaitable)
        timer = asyncio.ensure_future(self.sleep(seconds))
        try:
            await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise TimeoutError
            return task.result()
        finally:
            for pending in (task, timer):
                if not pending.done():
                    pending.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await pending

    def advance(self, seconds: float) -> None:
        """Push the clock forward and wake what is due; may be called from any thread."""
        with self._lock:
            self._advanced += seconds
        self._wake_due()

    async def advance_in_steps(self, seconds: float) -> None:
        """Push the clock forward deadline by deadline, so that loops that sleep run once per period they slept."""
        target = self.time() + seconds
        await _let_others_run()
        while (upcoming := self._next_deadline()) is not None and upcoming <= target:
            self.advance(max(0.0, upcoming - self.time()))
            await _let_others_run()
        self.advance(max(0.0, target - self.time()))

    def _next_deadline(self) -> float | None:
        with self._lock:
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            return self._sleepers[0][0] if self._sleepers else None

    def _wake_due(self) -> None:
        now = self.time()
        with self._lock:
            due = []
            while self._sleepers and self._sleepers[0][0] <= now:
                due.append(heapq.heappop(self._sleepers)[2])
        for future in due:
            with contextlib.suppress(RuntimeError):  # the sleeper's loop may have been closed with the sleeper
                future.get_loop().call_soon_threadsafe(_wake, future)


async def _let_others_run() -> None:
    for _ in range(_TURNS_PER_STEP):
        await asyncio.sleep(0)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
