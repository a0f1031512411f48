"""One request's way to one machine and the answer's way back, byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from sandbox.edge.head import Head, response_headers
from sandbox.edge.route import Backend

HEAD_LIMIT = 65_536
_CONNECT_TIMEOUT = 3.0
_CHUNK = 65_536


class Target(Protocol):
    """Where an answer goes: the client, or whoever keeps it for a while."""

    def write(self, data: bytes) -> None:
        """Take bytes."""

    async def drain(self) -> None:
        """Wait until there is room for more."""


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
    client: tuple[asyncio.StreamReader, Target],
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    extra: list[tuple[str, str]],
) -> int:
    """Pass on the request whose head was read, and the answer with `extra` headers; return when either side is done.

    Returns the answer's status, 0 when the client did not wait for it.
    """
    status: list[int] = []
    upstream[1].write(head)
    upload = asyncio.create_task(_pump(client[0], upstream[1]))
    download = asyncio.create_task(_respond(upstream[0], client[1], extra, status))
    try:
        await asyncio.wait({upload, download}, return_when=asyncio.FIRST_COMPLETED)
        if not download.done() and not request.get("upgrade"):
            # The client has gone: the machine is told by its connection closing.
            return status[0] if status else 0
        if not download.done():
            upstream[1].write_eof()
        await download
        return status[0]
    finally:
        for task in (upload, download):
            task.cancel()
        await asyncio.wait({upload, download})
        for task in (upload, download):
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it as lost


async def _respond(
    source: asyncio.StreamReader, target: Target, extra: list[tuple[str, str]], known: list[int]
) -> None:
    """Pass on an answer; its status is `known` as soon as it has begun."""
    while True:
        try:
            response = Head.parse(await source.readuntil(b"\r\n\r\n"))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ConnectionError):
            # Bytes were sent to the machine: whether they had an effect is unknown, so nobody else gets them.
            known.append(502)
            await answer(target, "502 Bad Gateway", "the machine closed the connection\n", extra[1][1])
            return
        status = response.line.split(" ", 2)[1]
        if status.startswith("1") and status != "101":
            target.write(response.encode(response.headers))
            continue
        target.write(response.encode([*response_headers(response, status), *extra]))
        known.append(int(status))
        break
    await target.drain()
    await _pump(source, target)


async def _pump(source: asyncio.StreamReader, target: Target) -> None:
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
        await target.drain()


async def answer(
    target: Target, status: str, text: str, request_id: str = "", headers: Mapping[str, str] | None = None
) -> int:
    """Answer for the edge itself, with more or other headers where they are given, and return the status."""
    body = text.encode()
    own = {"Content-Type": "text/plain", "Content-Length": str(len(body)), "Connection": "close"}
    own |= {"Fly-Request-Id": request_id, "Via": "1.1 fly.io"} if request_id else {}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (own | dict(headers or {})).items())]
    target.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    await target.drain()
    return int(status.partition(" ")[0])
