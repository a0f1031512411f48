"""uvicorn's HTTP protocol with one more time limit: a request's head must arrive within ten seconds.

uvicorn times idle connections between two requests only. Without this a client that sends a header a minute keeps a
socket and its buffers for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol  # type: ignore[import-not-found,unused-ignore]

from prefect_server.protocol_limits import HEAD_SECONDS


class HeadTimeoutProtocol(H11Protocol):  # type: ignore[misc,unused-ignore]
    """Closes a connection whose next request has begun, or was never begun, and is not complete in time."""

    _head_timer: asyncio.TimerHandle | None = None
    _seen_cycle: Any = None
    _is_socket = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start the clock for the first request."""
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Stop the clock when a request was begun, and start it when only a part of one has come."""
        super().data_received(data)
        if self._is_socket:
            return
        if self.cycle is not self._seen_cycle:
            self._seen_cycle = self.cycle
            self._stop_head_timer()
        elif self.cycle is None or self.cycle.response_complete:
            self._start_head_timer()

    def handle_websocket_upgrade(self, event: object) -> None:
        """The websocket's own protocol takes over, with limits of its own."""
        self._is_socket = True
        self._stop_head_timer()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
