"""Which of several servers on one database runs Prefect's periodic services: one at a time.

While a new machine takes the place of an old one, two servers run side by side. What arrives at a server (requests,
events, logs) each of them works on itself: an event reaches one of them. What happens by the clock (scheduling, late
runs, proactive automations, retention, …) would happen twice. So it happens only at the server on duty: the one that
holds a lease in a table of ours and renews it. A server that ends gives it back, and the other one has it a second
later; from one that vanished it runs out. Time is the database's, so no clock has to be right.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from prefect_server.asgi import App, Message, Receive, Scope, Send

logger = logging.getLogger("prefect_fly")

LASTS_SECONDS = 20.0
RENEW_SECONDS = 5.0
TRY_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
"""How long one call to the database, and the work under way at the end, may take."""


class CouldNotAskError(Exception):
    """The database did not answer; the text names the kind of error and nothing else."""


class Lease(Protocol):
    """The lease in the database."""

    async def take(self, holder: str, seconds: float) -> bool:
        """Take or renew it; tell whether it is ours now.

        Raises:
            CouldNotAskError: the database did not answer.
        """

    async def give_back(self, holder: str, worked_on: Sequence[UUID]) -> None:
        """End it if it is ours.

        Args:
            holder: this server.
            worked_on: events that the next one is to leave alone when they come again.

        Raises:
            CouldNotAskError: the database did not answer.
        """


class Duty:
    """Holds the lease while it can, and knows whether this server is on duty.

    Args:
        lease: in the database.
        holder: who this server is. A machine that starts again is who it was, and need not wait for its own lease.
        worked_on: tells, at this server's end, which events the next one is to leave alone.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        lease: Lease,
        holder: str,
        worked_on: Callable[[], Sequence[UUID]] = tuple,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease, self._holder, self._worked_on, self._clock = lease, holder, worked_on, clock
        self._until = self._since = float("-inf")
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def held(self) -> bool:
        """Tell whether this server is on duty; false once the lease may have run out, whatever the database says."""
        return self._clock() < self._until

    def held_for(self) -> float:
        """Return for how many seconds this server has been on duty, 0 when it is not."""
        return self._clock() - self._since if self.held else 0.0

    def around(self, app: App) -> App:
        """Return the application, with the lease taken (if it is free) before it starts and given back when it ended.

        Not around the server's own life: uvicorn ends the process by the signal that it was sent.
        """

        async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "lifespan":
                await app(scope, receive, send)
                return

            async def last(message: Message) -> None:
                if message["type"].startswith("lifespan.shutdown"):
                    await self._end(keeper)
                await send(message)

            await self._try()
            keeper = asyncio.create_task(self._keep())
            try:
                await app(scope, receive, last)
            finally:
                keeper.cancel()

        return lifespan

    def only_on_duty(self, function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Return the function, which does nothing while another server is on duty."""

        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> None:
            if not self.held:
                return
            self._at_work += 1
            self._idle.clear()
            try:
                await function(*args, **kwargs)
            finally:
                self._at_work -= 1
                if not self._at_work:
                    self._idle.set()

        return guarded

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS if self.held else TRY_SECONDS)
            await self._try()

    async def _try(self) -> None:
        asked, before = self._clock(), self.held
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                ours = await self._lease.take(self._holder, LASTS_SECONDS)
        except (CouldNotAskError, TimeoutError) as error:
            if before:
                logger.warning("could not renew the duty of the periodic services: %s", str(error) or "no answer")
            return
        self._until = asked + LASTS_SECONDS if ours else float("-inf")
        if ours != before:
            self._since = asked
            logger.info("the periodic services run %s", "here" if ours else "at another server")

    async def _end(self, keeper: asyncio.Task[None]) -> None:
        """Let what is under way finish, then let the next server begin."""
        keeper.cancel()
        await asyncio.wait([keeper])
        if not self.held:
            return
        self._until = float("-inf")
        with contextlib.suppress(CouldNotAskError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._idle.wait()
                await self._lease.give_back(self._holder, self._worked_on())
                logger.info("the periodic services no longer run here")
