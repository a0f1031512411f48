"""The ASGI types and the few whole answers the gate gives by itself (ASGI specification 3.0)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Headers = list[tuple[bytes, bytes]]

POLICY_VIOLATION = 1008


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Every value of one header, in the order they came; `name` in lower case."""
    return [value for key, value in scope["headers"] if key.lower() == name]


def without_header(scope: Scope, name: bytes) -> Headers:
    """The request's headers less every one called `name`."""
    return [(key, value) for key, value in scope["headers"] if key.lower() != name]


def has_body(scope: Scope) -> bool:
    """Tell whether the client has announced a body, which an early answer would leave unread."""
    lengths = header_values(scope, b"content-length")
    return bool(header_values(scope, b"transfer-encoding")) or any(value != b"0" for value in lengths)


async def answer_json(scope: Scope, send: Send, status: int, content: object) -> None:
    """Answer an HTTP request completely, without reading its body.

    A connection whose body was not read is closed: otherwise a client could keep it open for ever by sending the body
    a byte at a time.
    """
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
    if has_body(scope):
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def refuse_socket(receive: Receive, send: Send) -> None:
    """Refuse a websocket before it is accepted; the server in front turns this into HTTP 403."""
    await receive()
    await send({"type": "websocket.close", "code": POLICY_VIOLATION})
