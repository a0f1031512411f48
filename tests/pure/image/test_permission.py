"""Rights at the gate, around the double: who gets through to Prefect with what, and what the others are told."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from prefect_server.gate import Gate
from prefect_server.keys import Key, KeyRing, Rights, sha256
from prefect_server.permission import Kind, Routes, Sockets
from prefect_server.self_check import Exchange, socket_close_code

from tests.support.asgi_double import Inner, make_gate, request
from tests.support.waiting import PATIENCE

ID = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
RIGHTS = {"viewer": Rights.VIEWER, "operator": Rights.OPERATOR, "admin": Rights.ADMIN}


def gate_of(inner: Inner) -> Gate:
    """A gate with one login of each rights, whose key is `<name>-key`, and the program's own `verify`."""
    rights = {**RIGHTS, "verify": Rights.VIEWER}
    gate = make_gate(inner)
    gate.keys = KeyRing({name: Key((sha256(f"{name}-key"),), each) for name, each in rights.items()})
    return gate


async def ask(
    gate: Gate, name: str, method: str, path: str, *, body: bytes = b"", query: bytes = b"", **headers: str
) -> Exchange:
    """Send one request with the login's key; its body comes in two pieces."""
    scope = request(path, f"Bearer {name}-key".encode(), b"curl/8", method, query)
    scope["headers"] += [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    half = len(body) // 2
    pieces = [(body[:half], True), (body[half:], False)]
    if body:
        scope["headers"].append((b"content-length", b"%d" % len(body)))
    exchange = Exchange([{"type": "http.request", "body": piece, "more_body": more} for piece, more in pieces])
    await gate(scope, exchange.receive, exchange.send)
    return exchange


def allowed(name: str, method: str, path: str, *, body: bytes = b"", query: bytes = b"", **headers: str) -> bool:
    """Tell whether the request reached Prefect; otherwise it was answered with 403."""
    inner = Inner()
    exchange = asyncio.run(ask(gate_of(inner), name, method, path, body=body, query=query, **headers))
    assert exchange.sent[0]["status"] == (200 if inner.seen else 403)
    return bool(inner.seen)


def test_rights_of_every_route() -> None:
    """Each known route lets through who has the rights for what it does, and nobody else."""
    least = {Kind.READ: 1, Kind.RUN: 2, Kind.CHANGE: 3, Kind.WORK: 3}

    async def run() -> None:
        inner = Inner()
        gate = gate_of(inner)
        for route in Routes().all:
            path = route.template.replace("{id:uuid}", ID).replace("{schedule_id:uuid}", ID)
            if path in {"/api/health", "/api/ready"}:
                continue  # these two are open
            for name, rights in RIGHTS.items():
                before = len(inner.seen)
                # What is judged by its body is judged by an unreadable one here, the strictest case.
                body = b"?" if route.but and route.method == "PATCH" else b""
                exchange = await ask(gate, name, route.method, path.replace("{", "").replace("}", ""), body=body)
                through = len(inner.seen) > before
                assert through == (rights >= least[route.kind]), f"{name}: {route.method} {route.template}"
                assert exchange.sent[0]["status"] == (200 if through else 403)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/api/flow_runs/filter", Kind.READ),
        ("POST", f"/api/flow_runs/{ID}/set_state", Kind.RUN),
        ("POST", f"/api/flow_runs/{ID.replace('-', '')}/resume", Kind.RUN),
        ("DELETE", f"/api/flow_runs/{ID}", Kind.CHANGE),
        ("POST", "/api/logs/", Kind.WORK),
        ("POST", "/api/logs", None),
        ("HEAD", "/api/flows/filter", None),
        ("GET", "/api/assets", None),
        ("GET", "/api/flows/no-uuid", None),
        ("DELETE", f"/flow_runs/{ID}", None),
    ],
)
def test_routes_are_found_as_prefect_finds_them(method: str, path: str, kind: Kind | None) -> None:
    """Method, parameters, convertors and slashes count."""
    route = Routes().find(method, path).route
    assert (route.kind if route else None) is kind


def test_the_names_and_ids_in_a_path_are_known() -> None:
    """The audit says what a request was about."""
    other = ID.replace("0", "1")
    match = Routes().find("PATCH", f"/api/deployments/{ID}/schedules/{other}")
    assert match.values == {"id": ID, "schedule_id": other}
    assert match.route
    assert match.route.path == "/api/deployments/{id}/schedules/{schedule_id}"


@pytest.mark.parametrize("name", ["viewer", "operator"])
def test_what_is_not_known_is_for_admins(name: str) -> None:
    """An unknown path, or an unknown method on a known one, is refused for less; files are for everybody."""
    assert not allowed(name, "GET", "/api/assets")
    assert not allowed(name, "PUT", "/api/flows/filter")
    assert allowed("admin", "GET", "/api/assets")
    assert allowed(name, "GET", "/docs")
    assert not allowed(name, "POST", "/docs")


def test_a_refusal_names_login_rights_and_need() -> None:
    """One sentence, in both of the places where Prefect's client and its UI look for it; counted, and logged."""

    async def run() -> None:
        gate = gate_of(Inner())
        exchange = await ask(gate, "viewer", "DELETE", f"/api/flows/{ID}")
        sentence = (
            '"viewer" is a viewer and may look at everything and change nothing: '
            "DELETE /api/flows/{id} needs an admin's rights."
        )
        assert json.loads(exchange.sent[1]["body"]) == {"exception_message": sentence, "detail": sentence}
        exchange = await ask(gate, "operator", "POST", "/api/variables/")
        assert b"may run, cancel, pause and resume, and change nothing else" in exchange.sent[1]["body"]
        exchange = await ask(gate, "viewer", "POST", f"/api/flow_runs/{ID}/set_state")
        assert b"needs an operator's rights" in exchange.sent[1]["body"]
        assert (gate.counters.by_name["viewer"].accepted, gate.counters.by_name["viewer"].forbidden) == (2, 2)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"/api/deployments/{ID}", "paused"),
        (f"/api/deployments/{ID}/schedules/{ID}", "active"),
        ("/api/work_pools/pool", "is_paused"),
        ("/api/work_pools/pool/queues/default", "is_paused"),
        (f"/api/work_queues/{ID}", "is_paused"),
    ],
)
def test_an_operator_may_switch_and_not_change(path: str, field: str) -> None:
    """A body with nothing but the switch passes, as it was; anything beside it, or nothing readable, does not."""
    inner = Inner()
    asyncio.run(ask(gate_of(inner), "operator", "PATCH", path, body=json.dumps({field: True}).encode()))
    assert inner.bodies == [json.dumps({field: True}).encode()]
    for body in (json.dumps({field: True, "description": "x"}).encode(), b"?", b"[]", b" " * 70_000 + b"{}"):
        assert not allowed("operator", "PATCH", path, body=body)
    assert not allowed("viewer", "PATCH", path, body=json.dumps({field: True}).encode())
    assert allowed("admin", "PATCH", path, body=b'{"description": "x"}')


@pytest.mark.parametrize("name", ["viewer", "operator"])
def test_secrets_of_blocks_are_for_admins(name: str) -> None:
    """Blocks are shown with their secrets masked; who asks for the values needs an admin's rights."""
    path = f"/api/block_documents/{ID}"
    for query in (b"", b"include_secrets=false", b"include_secrets=0"):
        assert allowed(name, "GET", path, query=query)
    for query in (
        b"include_secrets=true",
        b"include_secrets=",
        b"include%5fsecrets=1",
        b"include_secrets=0&include_secrets=1",
    ):
        assert not allowed(name, "GET", path, query=query)
        assert allowed("admin", "GET", path, query=query)
    for body in (b"", b"{}", b'{"include_secrets": false, "limit": 5}'):
        assert allowed(name, "POST", "/api/block_documents/filter", body=body)
    for body in (b'{"include_secrets": true}', b'{"include_secrets": "on"}', b'{"include_secrets": 1}', b"?"):
        assert not allowed(name, "POST", "/api/block_documents/filter", body=body)


def test_two_readings_of_one_body_are_impossible() -> None:
    """A name that stands twice is passed on once, as it was judged."""
    inner = Inner()
    body = b'{"include_secrets": true, "include_secrets": false}'
    asyncio.run(ask(gate_of(inner), "viewer", "POST", "/api/block_documents/filter", body=body))
    assert inner.bodies == [b'{"include_secrets": false}']


def test_the_ui_may_look_into_a_queue() -> None:
    """Prefect takes this request for a worker's unless the UI's header is there, so a viewer needs it."""
    path = f"/api/work_queues/{ID}/get_runs"
    assert allowed("viewer", "POST", path, x_prefect_ui="true")
    assert not allowed("viewer", "POST", path, x_prefect_ui="false")
    assert not allowed("operator", "POST", path)


def test_own_routes() -> None:
    """Who counts keys is an admin or the program's check; anybody with a key sees the status, and who they are."""

    async def run() -> None:
        gate = gate_of(Inner())
        for name, path, status in (
            ("viewer", "/gate/status", 200),
            ("viewer", "/gate/keys", 403),
            ("operator", "/gate/keys", 403),
            ("verify", "/gate/keys", 200),
            ("admin", "/gate/keys", 200),
            ("viewer", "/gate/other", 404),
        ):
            exchange = await ask(gate, name, "GET", path)
            assert exchange.sent[0]["status"] == status, f"{name} {path}"
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        gate.keys = KeyRing({"anna": Key((sha256("anna-key"),), Rights.OPERATOR, expires)})
        exchange = await ask(gate, "anna", "GET", "/gate/whoami")
        text = expires.isoformat().replace("+00:00", "Z")
        assert json.loads(exchange.sent[1]["body"]) == {"name": "anna", "rights": "operator", "expires": text}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "least"),
    [
        ("/api/events/out", Rights.VIEWER),
        ("/api/logs/out", Rights.VIEWER),
        ("/api/events/in", Rights.ADMIN),
        ("/api/task_runs/subscriptions/scheduled", Rights.ADMIN),
        ("/api/work_pools/pool/workers/connect", Rights.ADMIN),
        ("/api/some/other", Rights.ADMIN),
    ],
)
def test_rights_of_websockets(path: str, least: Rights) -> None:
    """Reading events and logs is a viewer's; sending events and taking work are an admin's; Prefect closes the rest."""
    assert Sockets().needs(path) is least
    if path == "/api/some/other":
        return

    async def run() -> None:
        for name, rights in RIGHTS.items():
            first = json.dumps({"type": "auth", "token": f"{name}:{name}-key"})
            code = await socket_close_code(gate_of(Inner()), path, first)
            assert code == ("let in" if rights >= least else 1008), name

    asyncio.run(run())


def test_a_refused_websocket_says_why() -> None:
    """The close frame names the login and what it takes, which Prefect's client shows; no stranger gets to read it."""

    async def run() -> None:
        gate = gate_of(Inner())
        for token, reason in (
            ("viewer-key", '"viewer" may not use this websocket: it needs admin rights'),
            ("x", None),
        ):
            first = {"type": "websocket.receive", "text": json.dumps({"type": "auth", "token": token})}
            exchange = Exchange([{"type": "websocket.connect"}, first])
            scope = {"type": "websocket", "path": "/api/events/in", "headers": [], "subprotocols": ["prefect"]}
            await gate(scope, exchange.receive, exchange.send)
            assert exchange.first("websocket.close", "reason") == reason
        assert gate.counters.by_name["viewer"].forbidden == 1

    asyncio.run(run())


def test_an_open_websocket_ends_with_its_key() -> None:
    """A websocket that is open when its key expires is closed then."""

    async def run() -> None:
        gate = gate_of(Inner(stays=True))
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        gate.keys = KeyRing({"anna": Key((sha256("anna-key"),), Rights.VIEWER, soon)})
        first = {"type": "websocket.receive", "text": json.dumps({"type": "auth", "token": "anna-key"})}
        exchange = Exchange([{"type": "websocket.connect"}, first])
        scope = {"type": "websocket", "path": "/api/events/out", "headers": [], "subprotocols": ["prefect"]}
        await asyncio.wait_for(gate(scope, exchange.receive, exchange.send), PATIENCE)
        assert exchange.first("websocket.send", "text") == '{"type": "auth_success"}'
        assert exchange.first("websocket.close", "code") == 1008
        assert exchange.first("websocket.close", "reason") == "The key has expired."

    asyncio.run(run())
