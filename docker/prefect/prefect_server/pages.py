"""The UI's files, for anybody: compressed once instead of for every request, and with the headers that a login needs.

Prefect compresses its 4.4 MB of script anew each time, which costs 0.3 CPU-seconds that any stranger can ask for. Its
pages ask other hosts for an analytics script and for logos; a content policy keeps a browser on this server.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field

from prefect_server import rights_script
from prefect_server.asgi import App, Headers, Message, Receive, Scope, Send, header_values

POLICY = "; ".join(
    (
        "default-src 'self'",
        # The UI's first page starts with a script in the page itself, and its editor evaluates templates.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS: Headers = [
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
HSTS = (b"strict-transport-security", b"max-age=31536000")
VARY = (b"vary", b"accept-encoding")

_COMPRESSIBLE = (b"text/", b"application/javascript", b"application/json", b"image/svg+xml")
_SMALLEST = 1024
# All of the UI's files together have 2 MB when compressed; a path that anybody makes up answers with one of them.
_MOST_BYTES = 8 * 1024 * 1024
_LEVEL = 9


def own_headers(scope: Scope, policy: str = POLICY) -> Headers:
    """The headers that every page gets."""
    https = b"https" in header_values(scope, b"x-forwarded-proto") or scope.get("scheme") == "https"
    return [(b"content-security-policy", policy.encode()), *SECURITY_HEADERS, *([HSTS] if https else [])]


@dataclass
class Pages:
    """Answers requests for the UI's files through Prefect's application.

    Compressed files are kept by their ETag, which Prefect makes of a file's size and time.
    """

    app: App
    _kept: dict[bytes, bytes] = field(default_factory=dict)
    _busy: dict[bytes, asyncio.Lock] = field(default_factory=dict)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request that needs no credential."""
        if scope["path"] == rights_script.PATH:
            await rights_script.answer(scope, send, own_headers(scope))
            return
        dropped = {b"authorization", b"accept-encoding"}
        if "." not in scope["path"].rpartition("/")[2]:
            # The UI's page, which is ours as much as Prefect's: only we can tell whether it is still the same.
            dropped |= {b"if-none-match", b"if-modified-since", b"range"}
        headers = [pair for pair in scope["headers"] if pair[0].lower() not in dropped]
        page = _Page(self, scope, send)
        await self.app({**scope, "headers": headers}, receive, page.send)

    async def compressed(self, etag: bytes, body: bytes) -> bytes:
        """Return a file's compressed form, made once."""
        async with self._busy.setdefault(etag, asyncio.Lock()):
            if etag not in self._kept:
                made = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
                if sum(map(len, self._kept.values())) + len(made) > _MOST_BYTES:
                    self._kept.clear()
                self._kept[etag] = made
        return self._kept[etag]


class _Page:
    """One answer: headers are added, the UI's page gets our script, and a body worth it is compressed."""

    def __init__(self, pages: Pages, scope: Scope, send: Send) -> None:
        self._pages, self._scope, self._send = pages, scope, send
        self._start: Message = {}
        self._etag = b""
        self._is_page = False
        self._body = bytearray()

    async def send(self, message: Message) -> None:
        """Take one message of the application's answer."""
        if message["type"] == "http.response.start":
            start = {**message, "headers": [*message["headers"], *own_headers(self._scope), VARY]}
            self._is_page = _is_page(self._scope, start)
            self._etag = b"" if self._is_page else _etag_to_compress(self._scope, start)
            self._start = start
            if not self._is_page and not self._etag:
                await self._send(start)
        elif (self._is_page or self._etag) and message["type"] == "http.response.body":
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await (self._send_page() if self._is_page else self._send_compressed())
        else:
            await self._send(message)

    async def _send_page(self) -> None:
        body = rights_script.put_into(bytes(self._body))
        etag = rights_script.etag_of(body)
        ours = {b"content-length", b"etag", b"last-modified"}
        headers = [pair for pair in self._start["headers"] if pair[0].lower() not in ours]
        headers += [(b"etag", etag), (b"content-length", b"%d" % len(body))]
        self._start, self._body = {**self._start, "headers": headers}, bytearray(body)
        if etag in header_values(self._scope, b"if-none-match"):
            kept = [pair for pair in headers if pair[0] != b"content-length"]
            await self._send({**self._start, "status": 304, "headers": kept})
            await self._send({"type": "http.response.body", "body": b""})
            return
        self._etag = _etag_to_compress(self._scope, self._start)
        if self._etag:
            await self._send_compressed()
            return
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})

    async def _send_compressed(self) -> None:
        if len(self._body) != _length(self._start):
            # Prefect ends an answer early when who asked has left. Kept, the torso would be everybody's from then on.
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": bytes(self._body)})
            return
        body = await self._pages.compressed(self._etag, bytes(self._body))
        kept = [pair for pair in self._start["headers"] if pair[0].lower() != b"content-length"]
        headers = [*kept, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(body))]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _is_page(scope: Scope, start: Message) -> bool:
    kinds = [value for name, value in start["headers"] if name.lower() == b"content-type"]
    return scope["method"] == "GET" and start["status"] == 200 and bool(kinds) and kinds[0].startswith(b"text/html")


def _etag_to_compress(scope: Scope, start: Message) -> bytes:
    """Return the ETag of an answer that is to be compressed, empty for every other."""
    answer = {name.lower(): value for name, value in start["headers"]}
    wanted = any(b"gzip" in value for value in header_values(scope, b"accept-encoding"))
    whole = scope["method"] == "GET" and start["status"] == 200 and not header_values(scope, b"range")
    fits = answer.get(b"content-type", b"").startswith(_COMPRESSIBLE)
    large = _length(start) >= _SMALLEST
    return bytes(answer.get(b"etag", b"")) if wanted and whole and fits and large else b""


def _length(start: Message) -> int:
    """Return how long an answer says that its body is, 0 where it does not."""
    return max((int(value) for name, value in start["headers"] if name.lower() == b"content-length"), default=0)
