"""Events that come a second time, because a client that lost its server sends again what it is not sure of.

They are stored once by their id. An automation would fire twice: what a server has seen it keeps in its memory, and the
other server has none of it. So a server notes at its end what it worked on last, and one that is not on duty, or has
only just come on duty, leaves that alone; an event that comes while the old server still works waits for its end.

Whether an event is stored says nothing: the new server may store what came again before the old one does.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from prefect_server.duty import CouldNotAskError, Duty

logger = logging.getLogger("prefect_fly")

NEW_FOR_SECONDS = 120.0
"""A client sends again what it sent in the last 30 seconds, and may take a while to connect."""

PATIENCE_SECONDS = 180.0
"""Longest wait for the old server's end, counted from the first event that waits: it may be there to stay.

Both serve from the new one's first good check to the old one's end.
"""

KEPT_SECONDS = 60.0
MOST_KEPT = 10_000
"""What a server keeps of what it worked on: more than a client sends again, and 2 MB at most."""

LOOK_SECONDS = 0.2


class Recent:
    """The events that this server worked on lately.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: deque[tuple[float, UUID]] = deque(maxlen=MOST_KEPT)

    def note(self, event: UUID) -> None:
        """Keep one, and forget those that are too old."""
        now = self._clock()
        self._kept.append((now, event))
        while self._kept[0][0] < now - KEPT_SECONDS:
            self._kept.popleft()

    def events(self) -> list[UUID]:
        """Return them, each once."""
        return list(dict.fromkeys(event for _when, event in self._kept))


class Repeats:
    """Knows an event that another server has worked on.

    Args:
        duty: of this server.
        noted: tells whether a server that ended noted an event as worked on.
        recent: where what this server works on is kept.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        duty: Duty,
        noted: Callable[[UUID], Awaitable[bool]],
        recent: Recent,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duty, self._noted, self._recent, self._clock = duty, noted, recent, clock
        self._until: float | None = None

    def once(self, function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return the function, which does nothing with an event that another server has worked on."""

        @functools.wraps(function)
        async def guarded(event: Any, *args: Any, **kwargs: Any) -> None:
            if await self._was_taken(event.id):
                logger.info("event %s came again and was worked on already", event.id)
                return
            await function(event, *args, **kwargs)
            self._recent.note(event.id)

        return guarded

    async def _was_taken(self, event: UUID) -> bool:
        if self._duty.held_for() >= NEW_FOR_SECONDS:
            return False
        if self._until is None:
            self._until = self._clock() + PATIENCE_SECONDS
        while not self._duty.held and self._clock() < self._until:  # noqa: ASYNC110 # the end of another process
            await asyncio.sleep(LOOK_SECONDS)
        try:
            return await self._noted(event)
        except CouldNotAskError as error:
            logger.warning("could not see whether event %s came before: %s", event, error)
            return False
