"""uvicorn's server, which does not wait for websockets that have nothing to finish."""

from __future__ import annotations

import socket

import uvicorn  # type: ignore[import-not-found,unused-ignore]

from prefect_server.open_sockets import OpenSockets


class Server(uvicorn.Server):  # type: ignore[misc,unused-ignore]
    """Serves one application.

    Args:
        config: uvicorn's.
        open_sockets: the websockets that are open; uvicorn waits for all of them when it stops.
    """

    def __init__(self, config: uvicorn.Config, open_sockets: OpenSockets) -> None:
        super().__init__(config)
        self._open_sockets = open_sockets

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop; the websockets that only tell end as soon as their clients were told."""
        self._open_sockets.stop()
        await super().shutdown(sockets)
