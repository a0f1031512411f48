"""One request's way to one machine and the answer's way back, byte for byte."""

from __future__ import annotations

import asyncio

from sandbox.edge.head import Head, response_headers
from sandbox.edge.route import Backend

HEAD_LIMIT = 65_536
_CONNECT_TIMEOUT = 3.0
_CHUNK = 65_536


async def connect(candidates: list[Backend]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Return a connection to the first machine that takes one, or None."""
    for backend in candidates:
        try:
            opening = asyncio.open_connection(backend.host, backend.port, limit=HEAD_LIMIT)
            return await asyncio.wait_for(opening, _CONNECT_TIMEOUT)
        except (OSError, TimeoutError):
            continue  # nothing was sent yet, so the next machine may have it
    return None


async def exchange(
    head: bytes,
    request: Head,
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    extra: list[tuple[str, str]],
) -> None:
    """Pass on the request whose head was read, and the answer with `extra` headers; return when either side is done."""
    upstream[1].write(head)
    upload = asyncio.create_task(_pump(client[0], upstream[1]))
    download = asyncio.create_task(_respond(upstream[0], client[1], extra))
    try:
        await asyncio.wait({upload, download}, return_when=asyncio.FIRST_COMPLETED)
        if not download.done() and not request.get("upgrade"):
            # The client has gone: the machine is told by its connection closing.
            return
        if not download.done():
            upstream[1].write_eof()
        await download
    finally:
        for task in (upload, download):
            task.cancel()
        await asyncio.wait({upload, download})
        for task in (upload, download):
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it as lost


async def _respond(source: asyncio.StreamReader, target: asyncio.StreamWriter, extra: list[tuple[str, str]]) -> None:
    while True:
        try:
            response = Head.parse(await source.readuntil(b"\r\n\r\n"))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ConnectionError):
            # Bytes were sent to the machine: whether they had an effect is unknown, so nobody else gets them.
            await answer(target, "502 Bad Gateway", "the machine closed the connection", extra[1][1])
            return
        status = response.line.split(" ", 2)[1]
        if status.startswith("1") and status != "101":
            target.write(response.encode(response.headers))
            continue
        target.write(response.encode([*response_headers(response, status), *extra]))
        break
    await target.drain()
    await _pump(source, target)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
        await target.drain()


async def answer(writer: asyncio.StreamWriter, status: str, text: str, request_id: str = "") -> None:
    """Answer for the edge itself."""
    body = (text + "\n").encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"Fly-Request-Id: {request_id}", "Via: 1.1 fly.io"] if request_id else []
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    await writer.drain()
