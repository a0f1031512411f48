"""Each event is worked on by one of two servers, though a client may send it to both.

A client that loses its server sends the other one again what it is not sure of. Events are stored once by their id. An
automation would fire twice: what a server has seen it keeps in its memory, and the other one has none of it.

So while another server is there, or was lately, an event is claimed in a table of ours before it is worked on. A server
that is alone asks nobody; it says what it worked on last when it comes to know of another one, and at its end.

Whether an event is stored says nothing: the new server may store what came again before the old one does.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum
from typing import Any, Protocol
from uuid import UUID

from prefect_server.duty import CouldNotAskError, Look

logger = logging.getLogger("prefect_fly")

NEW_FOR_SECONDS = 120.0
"""A client sends again what it sent in the last 30 seconds, and may take a while to connect."""

CLAIMED_SECONDS = 60.0
"""Working on an event takes less; the claim of a server that vanished meanwhile is over then."""

ALONE_SECONDS = 10.0
"""For how long a look that showed nobody else is believed, and for how long a new server therefore works on nothing.

Two looks of duty.py; a server takes most of it to start.
"""

KEPT_SECONDS = 60.0
MOST_KEPT = 10_000
"""What a server keeps of what it worked on: more than a client sends again, and 2 MB at most."""

LOOK_SECONDS = 0.2


class Claim(Enum):
    """Whose an event is."""

    OURS = "ours"
    TAKEN = "another server works on it"
    DONE = "another server has worked on it"


class Claims(Protocol):
    """Which events were or are worked on, in the database. Each method raises CouldNotAskError."""

    async def claim(self, event: UUID) -> Claim:
        """Claim an event, unless it is another server's."""

    async def done(self, events: Sequence[UUID]) -> None:
        """Note that these were worked on."""

    async def give_up(self, events: Sequence[UUID]) -> None:
        """Leave to others what was claimed and not worked on."""


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
    """Leaves alone what another server works on or has worked on.

    Args:
        claims: in the database.
        clock: seconds that never go back.
    """

    def __init__(self, claims: Claims, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._claims, self._clock = claims, clock
        self._recent = Recent(clock=clock)
        self._begun: dict[UUID, bool] = {}  # being worked on; whether others know
        self._alone_until = self._waits_until = self._looked = float("-inf")
        self._told = False

    def once(self, function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return the function, which does nothing with an event that is another server's."""

        @functools.wraps(function)
        async def guarded(event: Any, *args: Any, **kwargs: Any) -> None:
            while self._clock() < self._waits_until:  # noqa: ASYNC110 # what another server comes to know
                await asyncio.sleep(LOOK_SECONDS)
            shared = self._clock() >= self._alone_until
            if shared and not await self._is_ours(event.id):
                logger.info("event %s came again and was worked on already", event.id)
                return
            self._begun[event.id] = shared
            try:
                await function(event, *args, **kwargs)
            except Exception:  # whatever it was, the event is tried again, here or elsewhere; it is raised again
                # What is cut off by this server's end is given up there.
                if self._begun.pop(event.id, shared):
                    await self._say(self._claims.give_up([event.id]))
                raise
            self._recent.note(event.id)
            if self._begun.pop(event.id, shared) and not await self._say(self._claims.done([event.id])):
                self._told = False  # it is said with the next look

        return guarded

    async def looked(self, look: Look, asked: float) -> None:
        """Take in what a look showed.

        Args:
            look: at the database.
            asked: when it was begun, by this clock.
        """
        known = asked - self._looked < NEW_FOR_SECONDS
        self._looked = asked
        if not look.beside:
            self._waits_until = float("-inf")
        elif not known:
            # The other one may believe for as long that it is alone.
            self._waits_until = self._clock() + ALONE_SECONDS
        if not look.lately:
            self._alone_until, self._told = asked + ALONE_SECONDS, False
            return
        self._alone_until = float("-inf")
        if not self._told:
            self._told = await self._tell([*self._recent.events(), *self._begun])

    async def end(self) -> None:
        """Say at this server's end what it worked on, and leave to others what it could not finish.

        Raises:
            CouldNotAskError: the database did not answer.
        """
        await self._claims.done(self._recent.events())
        await self._claims.give_up([event for event, shared in self._begun.items() if shared])

    async def _tell(self, events: Sequence[UUID]) -> bool:
        under_way = list(self._begun)
        if not await self._say(self._claims.done(events)):
            return False
        self._begun |= {event: True for event in under_way if event in self._begun}
        return True

    async def _is_ours(self, event: UUID) -> bool:
        try:
            while (claim := await self._claims.claim(event)) is Claim.TAKEN:  # noqa: ASYNC110 # another process's work
                await asyncio.sleep(LOOK_SECONDS)
        except CouldNotAskError as error:
            # Once too often is better than never.
            logger.warning("could not see whether event %s came before: %s", event, error)
            return True
        return claim is Claim.OURS

    async def _say(self, saying: Awaitable[None]) -> bool:
        try:
            await saying
        except CouldNotAskError as error:
            logger.warning("could not note which events were worked on: %s", error)
            return False
        return True
