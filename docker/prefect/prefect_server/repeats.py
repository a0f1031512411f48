"""Events that come a second time, because a client that lost its server sends again what it is not sure of.

They are stored once by their id. An automation would fire twice: what a server has seen it keeps in its memory, and the
other server has none of it. So a server that is not on duty, or has only just come on duty, looks into the database
whether an event was received before; and an event that comes while the old server still works waits for its end, since
until then not everything is in the database.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from prefect_server.duty import CouldNotAskError, Duty

logger = logging.getLogger("prefect_fly")

NEW_FOR_SECONDS = 120.0
"""A client sends again what it sent in the last 30 seconds, and may take a while to connect."""

PATIENCE_SECONDS = 60.0
"""Longest wait for the old server's end, counted from the first event that waits: it may be there to stay."""

LOOK_SECONDS = 0.2


class Repeats:
    """Knows an event that another server has worked on.

    Args:
        duty: of this server.
        received: when the event of an id was received for the first time, None when it is not in the database.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        duty: Duty,
        received: Callable[[Any], Awaitable[datetime | None]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._duty, self._received, self._clock = duty, received, clock
        self._until: float | None = None

    def once(self, function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return the function, which does nothing with an event that another server has worked on."""

        @functools.wraps(function)
        async def guarded(event: Any, *args: Any, **kwargs: Any) -> None:
            if await self._was_taken(event):
                logger.info("event %s came again and was worked on already", event.id)
                return
            await function(event, *args, **kwargs)

        return guarded

    async def _was_taken(self, event: Any) -> bool:
        if self._duty.held_for() >= NEW_FOR_SECONDS:
            return False
        if self._until is None:
            self._until = self._clock() + PATIENCE_SECONDS
        while not self._duty.held and self._clock() < self._until:  # noqa: ASYNC110 # the end of another process
            await asyncio.sleep(LOOK_SECONDS)
        try:
            first = await self._received(event.id)
        except CouldNotAskError as error:
            logger.warning("could not see whether event %s came before: %s", event.id, error)
            return False
        return first is not None and first != event.received
