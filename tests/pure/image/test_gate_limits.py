"""What strangers cannot do to the gate: hold it, crowd it, or fill its log."""

from __future__ import annotations

import asyncio
import logging

import pytest
from prefect_server import gate as gate_module
from prefect_server import sockets
from prefect_server.asgi import Receive, Scope, Send
from prefect_server.counters import LINES_PER_WINDOW, Counters, RefusalLog
from prefect_server.gate import Gate
from prefect_server.keys import NOBODY, Verdict
from prefect_server.ready import FRESH_SECONDS, SharedReady
from prefect_server.self_check import Exchange, basic, http_status
from prefect_server.sockets import WaitingRoom

from tests.support.asgi_double import Inner, make_gate, request
from tests.support.waiting import PATIENCE


def test_anonymous_client_cannot_hold_a_page_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """An anonymous request that is not done in its time is dropped, without an error in the log."""
    monkeypatch.setattr(gate_module, "ANONYMOUS_SECONDS", 0.02)

    async def run() -> None:
        gate = make_gate(Inner(hangs=True))
        assert await asyncio.wait_for(http_status(gate, "GET", "/v2/", []), PATIENCE) is None

    asyncio.run(run())


def test_silent_socket_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A websocket that never says who it is is closed with 1008 by Prefect itself after the time limit."""
    monkeypatch.setattr(sockets, "FIRST_MESSAGE_SECONDS", 0.02)

    async def run(gate: Gate) -> object:
        exchange = Exchange([{"type": "websocket.connect"}])
        scope: Scope = {"type": "websocket", "path": "/api/events/in", "headers": [], "client": None}
        await asyncio.wait_for(gate(scope, exchange.receive, exchange.send), PATIENCE)
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
        await asyncio.wait_for(second, PATIENCE)
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
    counters.refuse(Verdict(claimed="stranger"), "x")
    counters.refuse(NOBODY, "x")
    assert set(counters.by_name) == {"worker"}
    assert counters.refused_unknown == 2
