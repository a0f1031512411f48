"""The script that says in Prefect's UI what a login may not do, and how it gets into the UI's page."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from prefect_server.asgi import Headers, Scope, Send, header_values

PATH = "/prefect-fly/rights.js"
_FILE = Path(__file__).resolve().parent / "static" / "rights" / "rights.js"
# Before the page's own scripts, which are modules and run later: it stands between them and the network.
_TAG = f'<script src="{PATH}"></script>'.encode()
_HEAD = b"<head>"


def put_into(page: bytes) -> bytes:
    """Return the page with the script as the first thing in its head; a page without a head as it is."""
    return page.replace(_HEAD, _HEAD + _TAG, 1)


def etag_of(content: bytes) -> bytes:
    """Return the ETag of what we made."""
    return b'W/"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()


@cache
def _script() -> tuple[bytes, bytes]:
    content = _FILE.read_bytes()
    return content, etag_of(content)


async def answer(scope: Scope, send: Send, headers: Headers) -> None:
    """Answer a GET or HEAD of the script; a browser that has it asks whether it is still the same."""
    content, etag = _script()
    headers = [*headers, (b"content-type", b"text/javascript"), (b"etag", etag), (b"cache-control", b"no-cache")]
    same = etag in header_values(scope, b"if-none-match")
    if not same:
        headers.append((b"content-length", b"%d" % len(content)))
    await send({"type": "http.response.start", "status": 304 if same else 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if same or scope["method"] == "HEAD" else content})
