"""The gate by itself, around a double that locks like Prefect and can be broken in single places."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prefect_server import self_check, sockets
from prefect_server.asgi import Receive, Send
from prefect_server.keys import KeyRing, Verdict
from prefect_server.self_check import Exchange, basic, http_status, socket_close_code

from tests.support.asgi_double import BASIC, Inner, lifespan, make_gate, request


def test_shut_until_checked() -> None:
    """Before the self-check has passed everybody, with a key too, gets 503 and no websocket."""

    async def run() -> None:
        inner = Inner()
        gate = make_gate(inner, opened=False)
        assert await http_status(gate, "GET", "/api/health", []) == 503
        assert await http_status(gate, "GET", "/api/version", [b"Bearer good-key"]) == 503
        assert await socket_close_code(gate, "/api/events/in", "{}") == 1008
        assert inner.seen == []

    asyncio.run(run())


def test_opens_after_self_check() -> None:
    """With both locks in order the gate opens, the probe key is gone and the counts are still at nothing."""

    async def run() -> None:
        gate = make_gate(Inner(), opened=False)
        assert (await lifespan(gate))["type"] == "lifespan.startup.complete"
        assert gate.opened
        assert gate.keys.names == {"worker"}
        assert set(gate.counters.by_name) == {"worker"}
        assert gate.counters.refused_unknown == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Inner(open_http=True), "was answered with 200, not 401"),
        (Inner(bearer_passes=True), "was answered with 200, not 401"),
        (Inner(owner_kept_out=True), "with its auth string was answered with 401, not 200"),
        (Inner(open_socket="/api/logs/out"), "the websocket /api/logs/out of Prefect itself"),
        (Inner(open_socket="/api/work_pools/self-check/workers/connect"), "workers/connect of Prefect itself"),
        (Inner(hangs=True), "no answer on /api/version"),
    ],
    ids=["HTTP open", "Bearer passes", "owner kept out", "one socket open", "worker socket open", "hangs"],
)
def test_broken_prefect_keeps_gate_shut(monkeypatch: pytest.MonkeyPatch, broken: Inner, says: str) -> None:
    """Whichever part of Prefect's own lock is broken, the start fails and says which."""
    monkeypatch.setattr(self_check, "PROBE_SECONDS", 0.05)

    async def run() -> None:
        gate = make_gate(broken, opened=False)
        said = await lifespan(gate)
        assert said["type"] == "lifespan.startup.failed"
        assert says in said["message"]
        assert not gate.opened

    asyncio.run(run())


@pytest.mark.parametrize("what", ["surface", "sockets"])
def test_broken_gate_keeps_itself_shut(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A gate that lets anonymous requests or any token through notices that about itself."""
    gate = make_gate(Inner(), opened=False)
    if what == "surface":
        monkeypatch.setattr(gate.surface, "is_open", lambda _scope: True)
    else:
        monkeypatch.setattr(sockets.Handshake, "_judge", lambda *_: Verdict(accepted="worker"))

    async def run() -> None:
        said = await lifespan(gate)
        assert said["type"] == "lifespan.startup.failed"
        assert not gate.opened

    asyncio.run(run())


def test_prefect_sees_only_its_own_credential() -> None:
    """The client's credential is replaced; on open paths, right or wrong, it is taken away."""

    async def run() -> None:
        inner = Inner()
        gate = make_gate(inner)
        await http_status(gate, "GET", "/api/version", [b"Bearer good-key"])
        await http_status(gate, "GET", "/api/health", [b"Bearer wrong"])
        await http_status(gate, "GET", "/", [BASIC])
        given = [[value for key, value in scope["headers"] if key == b"authorization"] for scope in inner.seen]
        assert given == [[BASIC], [], []]

    asyncio.run(run())


def test_inner_auth_string_is_no_key() -> None:
    """The string between gate and Prefect opens nothing from outside."""

    async def run() -> None:
        gate = make_gate(Inner())
        assert await http_status(gate, "GET", "/api/version", [BASIC]) == 401
        first = json.dumps({"type": "auth", "token": "gate:inner-secret"})
        assert await socket_close_code(gate, "/api/events/in", first) == 1008

    asyncio.run(run())


def test_keys_report() -> None:
    """GET /gate/keys counts accepted and refused uses per name, and knows the stock client's version."""

    async def run() -> None:
        gate = make_gate(Inner(), worker="good-key", other="else")
        scope = request("/api/version", b"Bearer good-key", b"prefect/3.8.8 (API 0.8.4)")
        for _ in range(2):
            await gate(scope, *silent())
        await http_status(gate, "GET", "/api/version", basic("worker:bad"))
        await http_status(gate, "GET", "/api/version", basic("stranger:bad"))
        exchange = Exchange([])
        await gate(request("/gate/keys", b"Bearer else", b"curl/8"), exchange.receive, exchange.send)
        report = json.loads(exchange.sent[1]["body"])
        assert report["keys"]["worker"]["accepted"] == 2
        assert report["keys"]["worker"]["refused"] == 1
        assert report["keys"]["worker"]["client_version"] == "3.8.8"
        assert report["keys"]["worker"]["client_seen"] >= report["started_at"]
        assert report["keys"]["worker"]["last_accepted"] >= report["started_at"]
        assert report["keys"]["other"] == {
            "accepted": 1,
            "refused": 0,
            "expired": 0,
            "forbidden": 0,
            "last_accepted": pytest.approx(report["started_at"], abs=60),
            "client_version": None,
            "client_seen": None,
        }
        assert set(report["keys"]) == {"worker", "other"}

    asyncio.run(run())


def test_old_client_is_told_why() -> None:
    """A Prefect 2 client gets one sentence, with a good key too, and nothing of it reaches Prefect."""

    async def run() -> None:
        inner = Inner()
        gate = make_gate(inner)
        exchange = Exchange([])
        await gate(request("/api/version", b"Bearer good-key", b"prefect/2.20.26 (API 0.8.4)"), *both(exchange))
        assert exchange.sent[0]["status"] == 400
        assert b"a Prefect 2.20.26 client cannot talk to it" in exchange.sent[1]["body"]
        assert inner.seen == []

    asyncio.run(run())


def test_an_expired_key_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    """Its holder gets 401 and the time, the counter and the log say it too; a wrong key learns nothing of it."""

    async def run() -> None:
        inner = Inner()
        gate = make_gate(inner, worker="good-key", anna="old-key")
        expires = datetime(2020, 1, 31, tzinfo=UTC)
        gate.keys = KeyRing({**gate.keys.keys, "anna": replace(gate.keys.keys["anna"], expires=expires)})
        exchange, wrong = Exchange([]), Exchange([])
        await gate(request("/api/version", b"Bearer old-key", b"curl/8"), *both(exchange))
        await gate(request("/api/version", b"Bearer anna:guess", b"curl/8"), *both(wrong))
        assert exchange.sent[0]["status"] == 401
        assert b'The key \\"anna\\" expired at 2020-01-31T00:00:00Z' in exchange.sent[1]["body"]
        assert b"expired" not in wrong.sent[1]["body"]
        first = json.dumps({"type": "auth", "token": "anna:old-key"})
        assert await socket_close_code(gate, "/api/events/in", first) == 1008
        assert (gate.counters.by_name["anna"].refused, gate.counters.by_name["anna"].expired) == (3, 2)
        assert not any(scope["type"] == "http" for scope in inner.seen)

    with caplog.at_level(logging.WARNING, logger="prefect_fly.gate"):
        asyncio.run(run())
    assert 'the key "anna" expired at 2020-01-31T00:00:00Z' in caplog.text


def silent() -> tuple[Receive, Send]:
    """Both channels of a client nobody listens to."""
    return both(Exchange([]))


def both(exchange: Exchange) -> tuple[Receive, Send]:
    """An exchange's two channels."""
    return exchange.receive, exchange.send


def test_unread_body_closes_the_connection() -> None:
    """A refused request that announced a body is answered and its connection closed, so that it cannot drip on."""

    async def run() -> None:
        gate = make_gate(Inner())
        scope = request("/api/flows/filter", b"Bearer bad", b"x")
        scope["headers"].append((b"content-length", b"5000000000"))
        exchange = Exchange([])
        await gate(scope, exchange.receive, exchange.send)
        assert exchange.sent[0]["status"] == 401
        assert (b"connection", b"close") in exchange.sent[0]["headers"]

    asyncio.run(run())
