"""GET /api/ready, shared: an anonymous flood of it costs the database one query a second.

Prefect's ready route borrows a connection from the pool the API lives on, and needs no credential.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from prefect_server.asgi import App, Message, Scope, Send

FRESH_SECONDS = 1.0


class SharedReady:
    """Asks Prefect's own ready route at most once at a time and once a second, and gives everybody the answer."""

    def __init__(self, app: App, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._messages: list[Message] = []
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def answer(self, scope: Scope, send: Send) -> None:
        """Answer one request from the newest reply, asking first when that is older than a second."""
        if self._clock() - self._asked_at >= FRESH_SECONDS:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask(scope))
            # Shielded: one client that hangs up must not take the answer away from the others.
            await asyncio.shield(self._asking)
        for message in self._messages:
            await send(message)

    async def _ask(self, scope: Scope) -> None:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def collect(message: Message) -> None:
            messages.append(message)

        plain = {**scope, "headers": [(b"host", b"gate")], "query_string": b""}
        try:
            await self._app(plain, receive, collect)
        finally:
            self._messages, self._asked_at, self._asking = messages, self._clock(), None
