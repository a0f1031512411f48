"""The end of a server: what it took it works on first where it keeps its messages in memory, and it does end.

Prefect stops its services in the middle of their queues. Events that were accepted would be lost: not stored, and no
automation would see them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from prefect_server.asgi import App, Message, Receive, Scope, Send

logger = logging.getLogger("prefect_fly")

REQUESTS_SECONDS = 20
LONGEST_SECONDS = 210.0
"""A machine has 300 s to stop, the most that Fly gives one with shared CPUs: first for open requests, then for what was
taken; the rest is for Prefect's own end, which took half a minute on a busy computer."""

STALLED_SECONDS = 60.0
"""What does not get on, as while the database is away, is not waited for any longer."""

QUIET_SECONDS = 1.0
"""Who works on the last message may have put something into another queue."""

SAY_SECONDS = 10.0
_LOOK_SECONDS = 0.1

AGAIN_SECONDS = 5.0
"""Prefect's services have this long to end by themselves before they are told once more."""


class Messages(Protocol):
    """What the server keeps in its memory to be worked on."""

    def left(self) -> int:
        """Count those that wait or are being worked on."""

    def finished(self) -> int:
        """Count those that were worked on since the server began."""


def finishing(app: App, messages: Messages, *, clock: Callable[[], float] = time.monotonic) -> App:
    """Return the application, which learns of the end of its life only when nothing is left to be worked on.

    Args:
        app: the server; it gets no requests any more by then.
        messages: that it has taken.
        clock: seconds that never go back.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def at_last() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await _quiet(messages, clock)
            return message

        await app(scope, at_last, send)

    return wrapped


def cancel(task: asyncio.Future[None], again: float = AGAIN_SECONDS) -> None:
    """Cancel a task of the running loop, and once more every `again` seconds until it is done.

    Prefect's worker of periodic services goes on for good when its cancellation comes together with a failure of Redis.
    """
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(again, cancel, task, again)


async def _quiet(messages: Messages, clock: Callable[[], float]) -> None:
    began = busy = moved = said = clock()
    finished = messages.finished()
    while (now := clock()) - began < LONGEST_SECONDS and now - moved < STALLED_SECONDS:
        left = messages.left()
        if left:
            busy = now
        elif now - busy >= QUIET_SECONDS:
            return
        before, finished = finished, messages.finished()
        if finished != before:
            moved = now
        if left and now - said >= SAY_SECONDS:
            said = now
            logger.info("ending; %d messages are still to be worked on", left)
        await asyncio.sleep(_LOOK_SECONDS)
    logger.warning("ending with %d messages that nobody worked on", messages.left())
