"""Call a webhook while another one is under way, which is answered last. Prints one JSON line: status of both."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
import sys

from prefect.blocks.webhook import Webhook
from prefect_server import launch

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def call(port: int, what: str) -> int | str:
    """Return the status, or what went wrong."""
    block = Webhook(url=f"http://127.0.0.1:{port}/{what}")
    block._client.timeout = None
    try:
        return (await block.call({})).status_code
    except Exception as error:  # noqa: BLE001 # what Prefect would write into the event of the failure
        return repr(error)


async def main() -> None:
    arrived, first_answered = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"/first" not in await reader.readuntil(b"\r\n\r\n"):
            arrived.set()
            await first_answered.wait()
        writer.write(ANSWER)
        await writer.drain()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    last = asyncio.create_task(call(port, "last"))
    await arrived.wait()
    first = await call(port, "first")
    first_answered.set()
    print(json.dumps({"first": first, "last": await last}))


if "as Prefect does" not in sys.argv:
    launch._guard_services()
asyncio.run(main())
