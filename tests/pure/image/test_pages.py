"""The UI's files through the gate: what one client does changes nothing for the next."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass

from prefect_server.asgi import Receive, Scope, Send
from prefect_server.pages import Pages
from prefect_server.self_check import Exchange

SCRIPT = b"const x = 1;" * 2000
PIECE = 4096


@dataclass
class Files:
    """One script, as Starlette sends a file: its length, then pieces; no more of them once the client has left."""

    leaves_after: int = len(SCRIPT)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request."""
        length = b"%d" % len(SCRIPT)
        headers = [(b"content-type", b"application/javascript"), (b"content-length", length), (b"etag", b'"its"')]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for start in range(0, self.leaves_after, PIECE):
            await send({"type": "http.response.body", "body": SCRIPT[start : start + PIECE], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def ask(pages: Pages) -> tuple[dict[bytes, bytes], bytes]:
    """Ask for the script, compressed: headers and body."""
    exchange = Exchange([])
    headers = [(b"accept-encoding", b"gzip")]
    scope: Scope = {"type": "http", "method": "GET", "path": "/v2/x.js", "headers": headers, "scheme": "http"}
    asyncio.run(pages.answer(scope, exchange.receive, exchange.send))
    return dict(exchange.sent[0]["headers"]), b"".join(message.get("body", b"") for message in exchange.sent[1:])


def test_who_leaves_half_way_spoils_nothing_for_others() -> None:
    """Half a file that a client did not wait for is never kept as the file: the next one gets the whole."""
    files = Files(leaves_after=PIECE * 2)
    pages = Pages(files)
    headers, body = ask(pages)
    assert b"content-encoding" not in headers
    assert body == SCRIPT[: PIECE * 2]

    files.leaves_after = len(SCRIPT)
    for _ in range(2):
        headers, body = ask(pages)
        assert headers[b"content-encoding"] == b"gzip"
        assert headers[b"content-length"] == b"%d" % len(body)
        assert gzip.decompress(body) == SCRIPT
