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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from prefect_server.asgi import App, Message, Receive, Scope, Send

logger = logging.getLogger("prefect_fly")

LASTS_SECONDS = 20.0
RENEW_SECONDS = 5.0
TRY_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
"""How long one call to the database, and the work under way at the end, may take."""


class CouldNotAskError(Exception):
    """The database did not answer; the text names the kind of error and nothing else."""


@dataclass(frozen=True)
class Look:
    """What a look at the database showed.

    Attributes:
        ours: the lease is this server's.
        beside: another server is there.
        lately: another server is there, or was in the last two minutes.
    """

    ours: bool
    beside: bool = False
    lately: bool = False


class Lease(Protocol):
    """The lease in the database, and who is there."""

    async def take(self, holder: str, seconds: float) -> Look:
        """Take or renew it, and say that this server is there for as long.

        Raises:
            CouldNotAskError: the database did not answer.
        """

    async def give_back(self, holder: str) -> None:
        """End it if it is ours, and say that this server is not there any more.

        Raises:
            CouldNotAskError: the database did not answer.
        """


class Work(Protocol):
    """What this server works on and another one must not work on as well."""

    async def looked(self, look: Look, asked: float) -> None:
        """Take in what a look showed that was begun when the clock showed `asked`."""

    async def end(self) -> None:
        """Tell the others how far this server has come.

        Raises:
            CouldNotAskError: the database did not answer.
        """


class Duty:
    """Holds the lease while it can, and knows whether this server is on duty.

    Args:
        lease: in the database.
        holder: who this server is. A machine that starts again is who it was, and need not wait for its own lease.
        work: is told who else is there, and has the last word.
        clock: seconds that never go back.
    """

    def __init__(self, lease: Lease, holder: str, work: Work, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease, self._holder, self._work, self._clock = lease, holder, work, clock
        self._until = float("-inf")
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def held(self) -> bool:
        """Tell whether this server is on duty; false once the lease may have run out, whatever the database says."""
        return self._clock() < self._until

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
                look = await self._lease.take(self._holder, LASTS_SECONDS)
        except (CouldNotAskError, TimeoutError) as error:
            if before:
                logger.warning("could not renew the duty of the periodic services: %s", str(error) or "no answer")
            return
        self._until = asked + LASTS_SECONDS if look.ours else float("-inf")
        if look.ours != before:
            logger.info("the periodic services run %s", "here" if look.ours else "at another server")
        # What it could not tell others in time it tells them with the next look.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._work.looked(look, asked)

    async def _end(self, keeper: asyncio.Task[None]) -> None:
        """Let what is under way finish, then let the next server begin."""
        keeper.cancel()
        await asyncio.wait([keeper])
        held, self._until = self.held, float("-inf")
        with contextlib.suppress(CouldNotAskError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._work.end()
        with contextlib.suppress(CouldNotAskError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._idle.wait()
                await self._lease.give_back(self._holder)
                if held:
                    logger.info("the periodic services no longer run here")
