"""The self-check at start: the gate and Prefect's own login are tried with no key, wrong keys and a good one.

Prefect's own lock is tried directly, so that a Prefect whose check went away is noticed although the gate in front of
it holds. Then the gate itself is tried. Everything is done with made-up requests inside the process.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from dataclasses import dataclass, field

from prefect_server.asgi import POLICY_VIOLATION, App, Message
from prefect_server.counters import Counters
from prefect_server.gate import Gate, SelfCheckError
from prefect_server.surface import API_BASE, KEYS_PATH, SOCKETS

PROBE = "self-check"
PROBE_SECONDS = 20.0
# Routes of different routers and methods, none of which may ever answer without a credential.
INNER_PATHS = (
    ("GET", "/version"),
    ("GET", "/admin/version"),
    ("GET", "/admin/settings"),
    ("GET", "/hello"),
    ("GET", "/health/"),
    ("POST", "/flows/filter"),
    ("POST", "/flow_runs/filter"),
    ("POST", "/logs/filter"),
    ("DELETE", "/deployments/00000000-0000-0000-0000-000000000000"),
)
WORKING_PATH = "/version"


@dataclass
class Exchange:
    """One made-up HTTP request or websocket and everything the application sent."""

    inbox: list[Message]
    sent: list[Message] = field(default_factory=list)

    async def receive(self) -> Message:
        """Return the prepared messages one by one, then wait like a client that says nothing more."""
        if self.inbox:
            return self.inbox.pop(0)
        silence: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await silence

    async def send(self, message: Message) -> None:
        """Keep what the application sent."""
        self.sent.append(message)

    def first(self, kind: str, key: str) -> object:
        """The value of `key` in the first message of that type; None when there was none."""
        return next((message.get(key) for message in self.sent if message["type"] == kind), None)


def basic(credential: str) -> list[bytes]:
    """An Authorization header as Prefect itself reads it."""
    return [b"Basic " + base64.b64encode(credential.encode())]


async def http_status(app: App, method: str, path: str, authorization: list[bytes]) -> object:
    """The status an application answers to a made-up request."""
    headers = [(b"host", b"self-check"), *((b"authorization", value) for value in authorization)]
    scope = _scope("http", path, headers) | {"method": method, "scheme": "http"}
    exchange = Exchange([{"type": "http.request", "body": b"", "more_body": False}])
    await _run(app, scope, exchange)
    return exchange.first("http.response.start", "status")


async def socket_close_code(app: App, path: str, first: str) -> object:
    """The code with which an application closes a made-up websocket after its first message."""
    headers = [(b"host", b"self-check"), (b"sec-websocket-protocol", b"prefect")]
    scope = _scope("websocket", path, headers) | {"scheme": "ws", "subprotocols": ["prefect"]}
    exchange = Exchange([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": first}])
    await _run(app, scope, exchange)
    if exchange.first("websocket.send", "text") is not None:
        return "let in"
    return exchange.first("websocket.close", "code")


def _scope(kind: str, path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, object]:
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
    }


async def _run(app: App, scope: dict[str, object], exchange: Exchange) -> None:
    try:
        await asyncio.wait_for(app(scope, exchange.receive, exchange.send), PROBE_SECONDS)
    except TimeoutError as error:
        raise SelfCheckError(f"no answer on {scope['path']} within {PROBE_SECONDS:.0f} s") from error


def _require(got: object, wanted: object, what: str) -> None:
    if got != wanted:
        raise SelfCheckError(f"{what} was answered with {got}, not {wanted}")


async def check_inner(app: App, auth_string: str) -> None:
    """Try Prefect's own lock.

    Raises:
        SelfCheckError: a route or a websocket lets somebody in without the auth string, or keeps its owner out.
    """
    wrong: list[list[bytes]] = [[], basic(f"{auth_string}x"), [b"Bearer " + auth_string.encode()]]
    for method, path in INNER_PATHS:
        for credential in wrong:
            status = await http_status(app, method, API_BASE + path, credential)
            _require(status, 401, f"{method} {API_BASE}{path} of Prefect itself without its auth string")
    status = await http_status(app, "GET", API_BASE + WORKING_PATH, basic(auth_string))
    _require(status, 200, f"GET {API_BASE}{WORKING_PATH} of Prefect itself with its auth string")
    for path in _socket_paths():
        for token in ("", None, f"{auth_string}x"):
            code = await socket_close_code(app, path, json.dumps({"type": "auth", "token": token}))
            _require(code, POLICY_VIOLATION, f"the websocket {path} of Prefect itself with a wrong token")


async def check_gate(gate: Gate) -> None:
    """Try the gate, with a key that exists only during the check.

    Raises:
        SelfCheckError: as `check_inner`.
    """
    key = secrets.token_urlsafe(32)
    real_keys, real_counters = gate.keys, gate.counters
    gate.keys = real_keys.with_key(PROBE, key)
    gate.counters = Counters([], note=lambda _line: None)
    try:
        await _check_gate_http(gate, key)
        await _check_gate_sockets(gate)
    finally:
        gate.keys, gate.counters = real_keys, real_counters


async def _check_gate_http(gate: Gate, key: str) -> None:
    wrong: list[list[bytes]] = [
        [],
        [f"Bearer {key}x".encode()],
        basic(f"{PROBE}:{key}x"),
        [f"Bearer {key}".encode()] * 2,
    ]
    closed = [(method, API_BASE + path) for method, path in INNER_PATHS]
    closed += [("GET", path) for path in sorted(gate.surface.closed)] + [("GET", KEYS_PATH)]
    for method, path in closed:
        for credential in wrong:
            _require(await http_status(gate.http, method, path, credential), 401, f"{method} {path} without a key")
    for credential in ([f"Bearer {key}".encode()], basic(f"{PROBE}:{key}"), basic(key)):
        status = await http_status(gate.http, "GET", API_BASE + WORKING_PATH, credential)
        _require(status, 200, f"GET {API_BASE}{WORKING_PATH} with a key")


async def _check_gate_sockets(gate: Gate) -> None:
    for path in _socket_paths():
        for first in ('{"type": "auth", "token": null}', '{"type": "auth", "token": "wrong"}', "[" * 4000, "{}"):
            code = await socket_close_code(gate.websocket, path, first)
            _require(code, POLICY_VIOLATION, f"the websocket {path} with a wrong first message")


def _socket_paths() -> list[str]:
    return sorted(API_BASE + path.replace("{work_pool_name}", PROBE) for path in SOCKETS)
