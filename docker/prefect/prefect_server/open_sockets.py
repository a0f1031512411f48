"""The websockets that are open with a key, so that they end when the keys change and theirs is not the same any more.

A request is judged each time. A websocket is judged once and may stay open for days. When the server stops, those that
only tell end at once: Prefect looks once a second whether somebody still listens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from prefect_server.asgi import POLICY_VIOLATION, Send
from prefect_server.keys import KeyRing, Verdict


class OpenSocket:
    """One websocket; without a credential until the client has shown one.

    Args:
        only_tells: nothing that a client sends on it is worked on, so that it may be cut off at any point.
    """

    def __init__(self, *, only_tells: bool = False) -> None:
        self.credential: str | None = None
        self.verdict: Verdict | None = None
        self._ended = asyncio.Event()
        self._only_tells, self._told = only_tells, False

    def stop(self) -> None:
        """End it if it only tells; the web server tells the client that it stops."""
        if self._only_tells:
            self._told = True
            self._ended.set()

    def judge_again(self, keys: KeyRing) -> None:
        """End it when these keys would not let it in, or not with the same rights and for the same time."""
        if keys.check(self.credential) != self.verdict:
            self._ended.set()

    async def run(self, serving: Awaitable[None], send: Send) -> None:
        """Serve it until either side is done, or its key is."""
        served = asyncio.ensure_future(serving)
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({served, ended}, return_when=asyncio.FIRST_COMPLETED)
            if served.done():
                served.result()
            elif not self._told:
                with suppress(RuntimeError):  # Prefect had closed it already
                    await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "The key has changed."})
        finally:
            ended.cancel()
            served.cancel()
            await asyncio.gather(served, return_exceptions=True)


class OpenSockets:
    """All that are open with a key."""

    def __init__(self) -> None:
        self._open: set[OpenSocket] = set()

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, opened: OpenSocket, credential: str | None, verdict: Verdict, keys: KeyRing) -> None:
        """Keep one whose credential was accepted, and end it when `keys` changed since that was judged."""
        opened.credential, opened.verdict = credential, verdict
        self._open.add(opened)
        opened.judge_again(keys)

    def leave(self, opened: OpenSocket) -> None:
        """Forget one."""
        self._open.discard(opened)

    def stop(self) -> None:
        """End those that only tell, because the server stops."""
        for opened in self._open:
            opened.stop()

    def judge_again(self, keys: KeyRing) -> None:
        """End those that these keys would not let in, or not as before."""
        for opened in self._open:
            opened.judge_again(keys)
