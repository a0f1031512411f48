"""The server under every emulated API."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any

from sandbox.core.core import Core
from sandbox.core.service import Service


def test_a_connection_taken_just_before_the_end_is_closed() -> None:
    """It ends for its client, and nothing of it is left open here: the next garbage collection would find it."""
    wrong: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        service = Service(Core.in_memory())
        port = await service.start()
        with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
            # The loop sees the connection, takes it, and would have a server for it in its next round.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await service.stop()
            assert await asyncio.to_thread(client.recv, 1) == b""
        await service.stop()

    asyncio.run(run())
    gc.collect()
    assert wrong == []
