"""Stops the web server of the image while a websocket is open whose application would go on for ever."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import uvicorn  # type: ignore[import-not-found,unused-ignore]
import websockets  # type: ignore[import-not-found,unused-ignore]
from prefect_server.keys import NOBODY, KeyRing
from prefect_server.open_sockets import OpenSocket, OpenSockets
from prefect_server.web_server import Server


async def for_ever() -> None:
    """Listen to nobody."""
    await asyncio.Event().wait()


async def main() -> None:
    """Print the code that the client was closed with, once the server has ended."""
    sockets = OpenSockets()

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        opened = OpenSocket(only_tells=True)
        sockets.enter(opened, None, NOBODY, KeyRing({}))
        await receive()
        await send({"type": "websocket.accept"})
        await opened.run(for_ever(), send)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(uvicorn.Config(app, lifespan="off", log_level="warning", ws="websockets-sansio"), sockets)
        served = asyncio.ensure_future(server.serve([listening]))
        async with websockets.connect(f"ws://127.0.0.1:{listening.getsockname()[1]}/") as client:
            server.should_exit = True
            await served
            await client.wait_closed()
            print(json.dumps({"result": client.close_code}))


asyncio.run(main())
