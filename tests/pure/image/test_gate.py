"""The gate by itself, around a double that locks like Prefect and can be broken in single places."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from prefect_server import gate as gate_module
from prefect_server import self_check, sockets
from prefect_server.asgi import Receive, Scope, Send
from prefect_server.counters import LINES_PER_WINDOW, Counters, RefusalLog
from prefect_server.gate import Gate
from prefect_server.keys import Verdict
from prefect_server.ready import FRESH_SECONDS, SharedReady
from prefect_server.self_check import Exchange, basic, http_status, socket_close_code
from prefect_server.sockets import WaitingRoom

from tests.support.asgi_double import BASIC, Inner, lifespan, make_gate


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
        assert report["keys"]["worker"]["last_accepted"] >= report["started_at"]
        assert report["keys"]["other"] == {
            "accepted": 1,
            "refused": 0,
            "last_accepted": pytest.approx(report["started_at"], abs=60),
            "client_version": None,
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


def request(path: str, authorization: bytes, agent: bytes) -> Scope:
    """A GET request's scope."""
    headers = [(b"authorization", authorization), (b"user-agent", agent)]
    return {"type": "http", "method": "GET", "path": path, "headers": headers, "client": ("127.0.0.1", 1)}


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


def test_anonymous_client_cannot_hold_a_page_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """An anonymous request that is not done in its time is dropped, without an error in the log."""
    monkeypatch.setattr(gate_module, "ANONYMOUS_SECONDS", 0.02)

    async def run() -> None:
        gate = make_gate(Inner(hangs=True))
        assert await asyncio.wait_for(http_status(gate, "GET", "/v2/", []), 5) is None

    asyncio.run(run())


def test_silent_socket_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A websocket that never says who it is is closed with 1008 by Prefect itself after the time limit."""
    monkeypatch.setattr(sockets, "FIRST_MESSAGE_SECONDS", 0.02)

    async def run(gate: Gate) -> object:
        exchange = Exchange([{"type": "websocket.connect"}])
        scope: Scope = {"type": "websocket", "path": "/api/events/in", "headers": [], "client": None}
        await asyncio.wait_for(gate(scope, exchange.receive, exchange.send), 5)
        assert len(gate.room) == 0
        return exchange.first("websocket.close", "code")

    assert asyncio.run(run(make_gate(Inner()))) == 1008


def test_crowd_loses_its_own_oldest() -> None:
    """When too many sockets wait, the address with most of them pays, and another client's place is safe."""

    async def run() -> None:
        room = WaitingRoom(most=4)
        lone = room.enter("lone")
        crowd = [room.enter("crowd") for _ in range(10)]
        assert len(room) == 4
        assert not lone.dropped.done()
        assert [each.dropped.done() for each in crowd] == [True] * 7 + [False] * 3

    asyncio.run(run())


def test_ready_is_asked_once_for_all() -> None:
    """A hundred at once and a hundred within the second cost Prefect one question; the next second one more."""

    async def run() -> None:
        now = 100.0
        inner = Inner()
        ready = SharedReady(inner, clock=lambda: now)
        scope = request("/api/ready", b"", b"")
        exchanges = [Exchange([]) for _ in range(100)]
        await asyncio.gather(*(ready.answer(scope, each.send) for each in exchanges))
        for each in exchanges:
            await ready.answer(scope, each.send)
        assert len(inner.seen) == 1
        assert all(each.first("http.response.start", "status") == 200 for each in exchanges)
        now += FRESH_SECONDS
        await ready.answer(scope, exchanges[0].send)
        assert len(inner.seen) == 2

    asyncio.run(run())


def test_ready_survives_one_client_hanging_up() -> None:
    """Whoever asked first may leave; the others still get their answer."""

    async def run() -> None:
        asked, database = asyncio.Event(), asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            asked.set()
            await database.wait()
            await Inner()(scope, receive, send)

        ready = SharedReady(slow)
        scope = request("/api/ready", b"", b"")
        first = asyncio.create_task(ready.answer(scope, Exchange([]).send))
        await asked.wait()
        other = Exchange([])
        second = asyncio.create_task(ready.answer(scope, other.send))
        first.cancel()
        await asyncio.wait({first})
        database.set()
        await asyncio.wait_for(second, 5)
        assert other.first("http.response.start", "status") == 200

    asyncio.run(run())


def test_refusals_are_logged_sparingly(caplog: pytest.LogCaptureFixture) -> None:
    """In one window only a few refusals are logged; the next window's first line says how many were kept back."""
    now = 0.0
    log = RefusalLog(clock=lambda: now)
    with caplog.at_level(logging.WARNING, logger="prefect_fly.gate"):
        for _ in range(1000):
            log.note("refused")
        now = 11.0
        log.note("refused")
    assert len(caplog.messages) == LINES_PER_WINDOW + 1
    assert f"{1000 - LINES_PER_WINDOW} more" in caplog.messages[-1]


def test_log_names_the_key_and_never_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal's line has the known name that was claimed; nothing a stranger wrote appears in it."""

    async def run() -> None:
        gate = make_gate(Inner())
        for credential in ("worker:s3cret-guess", "stranger\n:s3cret-guess"):
            await http_status(gate, "GET", "/api/version", basic(credential))

    with caplog.at_level(logging.WARNING, logger="prefect_fly.gate"):
        asyncio.run(run())
    assert 'for "worker"' in caplog.text
    assert "s3cret" not in caplog.text
    assert "stranger" not in caplog.text


def test_made_up_names_are_not_counted() -> None:
    """A name the server does not know makes no counter of its own."""
    counters = Counters(["worker"], note=lambda _line: None)
    counters.refuse("stranger", "x")
    counters.refuse(None, "x")
    assert set(counters.by_name) == {"worker"}
    assert counters.refused_unknown == 2
