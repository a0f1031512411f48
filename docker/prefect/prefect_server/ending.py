"""The end of a server: what it took it works on first where it keeps its messages in memory, and it does end.

Prefect stops its services in the middle of their queues. Events that were accepted would be lost: not stored, and no
automation would see them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from prefect_server.asgi import App, Message, Receive, Scope, Send

logger = logging.getLogger("prefect_fly")

LONGEST_SECONDS = 10.0
"""Together with the time that open requests have, it is less than the machine's stop timeout."""

QUIET_SECONDS = 1.0
"""What was taken from a queue last is being worked on when the queue is empty, and may put something into another."""

_LOOK_SECONDS = 0.1

AGAIN_SECONDS = 5.0
"""Prefect's services have this long to end by themselves before they are told once more."""


def finishing(app: App, unfinished: Callable[[], int]) -> App:
    """Return the application, which learns of the end of its life only when nothing is left to be worked on.

    Args:
        app: the server; it gets no requests any more by then.
        unfinished: counts the messages that wait.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def at_last() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await _quiet(unfinished)
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


async def _quiet(unfinished: Callable[[], int]) -> None:
    began = busy = time.monotonic()
    while (now := time.monotonic()) - began < LONGEST_SECONDS:
        if unfinished():
            busy = now
        elif now - busy >= QUIET_SECONDS:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    logger.warning("ending with %d messages that nobody worked on", unfinished())
