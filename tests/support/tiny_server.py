"""A machine's program for tests: answers every request after half a second, and is gone at once when told to stop.

Run as `python tiny_server.py`; listens on FLY_PRIVATE_IP:4200 and answers with the value of GREETING. It finishes
nothing it has begun, so whoever stops it has to see to it that nobody waits for an answer.
"""

from __future__ import annotations

import asyncio
import os
import signal

from aiohttp import web


async def _greet(request: web.Request) -> web.Response:
    if request.path != "/healthy":
        await asyncio.sleep(0.5)
    return web.Response(text=os.environ.get("GREETING", ""))


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    application = web.Application()
    application.router.add_get("/{path:.*}", _greet)
    host = os.environ["FLY_PRIVATE_IP"]
    web.run_app(application, host=host, port=4200, print=lambda *_: None, handle_signals=False)
