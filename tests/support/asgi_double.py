"""Stands where Prefect's application stands, as far as ASGI goes: it has an own lock and tells what reached it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from prefect_server.asgi import Message, Receive, Scope, Send, header_values
from prefect_server.counters import Counters
from prefect_server.gate import Gate, SelfCheck
from prefect_server.keys import Key, KeyRing, sha256
from prefect_server.lineage.routes import Lineage
from prefect_server.observing import CouldNotAskError, Observer
from prefect_server.self_check import Exchange, check_gate, check_inner
from prefect_server.surface import Surface

AUTH_STRING = "gate:inner-secret"
BASIC = b"Basic " + b64encode(AUTH_STRING.encode())
CLOSED = ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect")


@dataclass
class Inner:
    """Locks like Prefect 3.8.8; the flags break single parts of that."""

    open_http: bool = False
    bearer_passes: bool = False
    owner_kept_out: bool = False
    open_socket: str | None = None
    hangs: bool = False
    stays: bool = False
    seen: list[Scope] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope."""
        self.seen.append(scope)
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if scope["type"] == "http":
            if any(name == b"content-length" for name, _ in scope["headers"]):
                self.bodies.append(await self._body(receive))
            await self._http(scope, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await receive()
            await send({"type": "lifespan.startup.complete"})

    async def _body(self, receive: Receive) -> bytes:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        return body

    def _lets_in(self, scope: Scope) -> bool:
        given = header_values(scope, b"authorization")
        if self.owner_kept_out:
            return False
        bearer = b"Bearer " + AUTH_STRING.encode()
        return self.open_http or given == [BASIC] or (self.bearer_passes and given == [bearer])

    async def _http(self, scope: Scope, send: Send) -> None:
        is_api = scope["path"].startswith("/api") and scope["path"] not in {"/api/health", "/api/ready"}
        status = 200 if not is_api or self._lets_in(scope) else 401
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"inner"})

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "prefect"})
        first = await receive()
        token = json.loads(first["text"])["token"]
        if token == AUTH_STRING or scope["path"] == self.open_socket:
            await send({"type": "websocket.send", "text": '{"type": "auth_success"}'})
            while self.stays:
                await receive()
        else:
            await send({"type": "websocket.close", "code": 1008})


async def no_database() -> Mapping[str, object]:
    """A database that does not answer."""
    raise CouldNotAskError("ConnectionRefusedError")


def no_connection() -> AbstractAsyncContextManager[object]:
    """A pool that lends nothing."""
    raise CouldNotAskError("ConnectionRefusedError")


async def whole_check(gate: Gate) -> None:
    """The self-check as `serve` runs it."""
    await check_inner(gate.app, AUTH_STRING)
    await check_gate(gate)


def make_gate(inner: Inner, *, self_check: SelfCheck = whole_check, opened: bool = True, **keys: str) -> Gate:
    """A gate around the double; keys by name, in clear."""
    ring = KeyRing({name: Key((sha256(key),)) for name, key in (keys or {"worker": "good-key"}).items()})
    gate = Gate(
        inner,
        keys=ring,
        auth_string=AUTH_STRING,
        surface=Surface(CLOSED),
        counters=Counters(ring.names),
        observer=Observer(no_database, lambda: None, version="3.8.8"),
        lineage=Lineage(no_connection, schema="prefect"),
        self_check=self_check,
    )
    gate.opened = opened
    return gate


async def lifespan(gate: Gate) -> Message:
    """Start the gate as uvicorn does and return what it said."""
    exchange = Exchange([{"type": "lifespan.startup"}])
    await gate({"type": "lifespan"}, exchange.receive, exchange.send)
    return exchange.sent[0]


def request(path: str, authorization: bytes, agent: bytes, method: str = "GET", query: bytes = b"") -> Scope:
    """A request's scope."""
    headers = [(b"authorization", authorization), (b"user-agent", agent)]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
