"""The life of a server as its web server tells it, around whatever takes part in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prefect_server.asgi import Message, Receive, Scope, Send


class Life:
    """The life of a server around which something was put: it begins, and ends when told to."""

    def __init__(self, around: Callable[[Any], Any]) -> None:
        self.said: list[str] = []
        self._end = asyncio.Event()
        self._began = asyncio.Event()
        self._task = asyncio.ensure_future(around(self._app)({"type": "lifespan"}, self._receive, self._send))

    async def began(self) -> None:
        """Return when it has begun."""
        await self._began.wait()

    async def end(self) -> None:
        """End it, and return when it has ended."""
        self._end.set()
        await self._task

    async def _app(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.said.append("told")
        await send({"type": "lifespan.shutdown.complete"})

    async def _receive(self) -> Message:
        if not self._began.is_set():
            return {"type": "lifespan.startup"}
        await self._end.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        self.said.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            self._began.set()
