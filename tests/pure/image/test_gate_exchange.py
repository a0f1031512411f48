"""Keys that change while the gate is open: what is accepted, what is counted, and which websockets end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prefect_server import key_follower
from prefect_server.asgi import Message, Receive, Scope, Send
from prefect_server.gate import Gate
from prefect_server.key_follower import KeyFollower
from prefect_server.keys import Key, KeyRing, Rights, sha256
from prefect_server.publishing import LONGEST_BODY
from prefect_server.self_check import Exchange, http_status
from prefect_server.signed_ring import SignedRing, Signer

from tests.pure.image.test_key_follower import Table
from tests.support.asgi_double import Inner, lifespan, make_gate

SIGNER = Signer("the stack's secret")


def ring(**keys: str) -> str:
    return json.dumps({name: sha256(key) for name, key in keys.items()})


async def until(condition: Callable[[], object]) -> None:
    """Let the other tasks run until it holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


class Client:
    """One websocket as its client sees it."""

    def __init__(self, gate: Gate, token: str, path: str = "/api/events/in") -> None:
        scope = {
            "type": "websocket",
            "path": path,
            "headers": [],
            "subprotocols": ["prefect"],
            "client": ("10.0.0.1", 1),
        }
        first = json.dumps({"type": "auth", "token": token})
        self._first: Message = {"type": "websocket.receive", "text": first}
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        self.exchange = Exchange([])
        self.served = asyncio.ensure_future(gate(scope, self._inbox.get, self.exchange.send))

    def say(self) -> None:
        """Send the first message."""
        self._inbox.put_nowait(self._first)

    async def greeted(self) -> Client:
        """Return when Prefect has let it in."""
        self.say()
        await until(lambda: self.exchange.first("websocket.send", "text"))
        return self

    async def closed(self) -> object:
        """Wait for the end and return the code it was closed with."""
        await self.served
        return self.exchange.first("websocket.close", "code")

    async def leave(self) -> None:
        """End it from the outside."""
        self.served.cancel()
        await asyncio.gather(self.served, return_exceptions=True)


def followed(gate: Gate, table: Table, keys: str) -> Gate:
    """Let the gate follow a table, with these keys as its own."""
    gate.follower = KeyFollower(SIGNER, table, SIGNER.sign(1, keys), gate.exchange)
    return gate


async def ask(gate: Gate, method: str, authorization: str, *messages: Message) -> tuple[object, dict[str, object]]:
    """Send a request to /gate/keys and return status and body."""
    exchange = Exchange(list(messages))
    headers = [(b"authorization", f"Bearer {authorization}".encode())]
    scope = {"type": "http", "method": method, "path": "/gate/keys", "headers": headers, "client": ("127.0.0.1", 1)}
    await gate(scope, exchange.receive, exchange.send)
    return exchange.first("http.response.start", "status"), json.loads(exchange.sent[-1]["body"])


def body(given: SignedRing) -> Message:
    return {"type": "http.request", "body": json.dumps(vars(given)).encode(), "more_body": False}


def test_an_exchange_counts_at_once_and_keeps_the_counts_of_who_stays() -> None:
    """The next request of a removed key is refused, of a new one accepted; names that stay keep their counts."""

    async def run() -> None:
        gate = make_gate(Inner(), leaver="old", stayer="same")
        assert await http_status(gate, "GET", "/api/version", [b"Bearer old"]) == 200
        assert await http_status(gate, "GET", "/api/version", [b"Bearer same"]) == 200
        gate.exchange(KeyRing.parse(ring(stayer="same", joiner="new")))
        answers = [
            await http_status(gate, "GET", "/api/version", [f"Bearer {key}".encode()]) for key in ("old", "same", "new")
        ]
        assert answers == [401, 200, 200]
        uses = {name: use.accepted for name, use in gate.counters.by_name.items()}
        assert uses == {"stayer": 2, "joiner": 1}

    asyncio.run(run())


def _without(ring: KeyRing) -> KeyRing:
    return KeyRing({"stayer": ring.keys["stayer"]})


def _demoted(ring: KeyRing) -> KeyRing:
    return KeyRing({**ring.keys, "leaver": replace(ring.keys["leaver"], rights=Rights.VIEWER)})


def _an_end(ring: KeyRing) -> KeyRing:
    return KeyRing({**ring.keys, "leaver": replace(ring.keys["leaver"], expires=datetime(2999, 1, 1, tzinfo=UTC))})


def _another_key(ring: KeyRing) -> KeyRing:
    return KeyRing({**ring.keys, "leaver": Key((sha256("another"),))})


@pytest.mark.parametrize("change", [_without, _demoted, _an_end, _another_key])
def test_the_websockets_of_a_revoked_key_are_closed_and_no_others(change: Callable[[KeyRing], KeyRing]) -> None:
    """Name gone, hash gone, rights or end changed: closed with 1008; the others go on."""

    async def run() -> None:
        gate = make_gate(Inner(stays=True), leaver="old", stayer="same")
        leaver = await Client(gate, "leaver:old").greeted()
        stayer = await Client(gate, "same", "/api/logs/out").greeted()
        assert len(gate.open_sockets) == 2
        gate.exchange(change(gate.keys))
        assert await leaver.closed() == 1008
        assert not stayer.served.done()
        assert len(gate.open_sockets) == 1
        await stayer.leave()
        assert len(gate.open_sockets) == 0

    asyncio.run(run())


def test_a_stop_ends_the_websockets_that_only_tell() -> None:
    """Events that come in are worked on to their end; the gate sends no close of its own, which uvicorn did."""

    async def run() -> None:
        gate = make_gate(Inner(stays=True), leaver="old")
        telling = [await Client(gate, "old", f"/api/{what}/out").greeted() for what in ("logs", "events")]
        taking = await Client(gate, "old", "/api/events/in").greeted()
        gate.open_sockets.stop()
        for client in telling:
            assert await client.closed() is None
        assert not taking.served.done()
        await taking.leave()

    asyncio.run(run())


def test_a_websocket_that_was_opened_before_and_authenticates_after_the_exchange_is_closed() -> None:
    """The gap between the upgrade and the first message lets nobody in."""

    async def run() -> None:
        gate = make_gate(Inner(stays=True), leaver="old", stayer="same")
        client = Client(gate, "leaver:old")
        await until(lambda: client.exchange.first("websocket.accept", "subprotocol"))
        gate.exchange(_without(gate.keys))
        client.say()
        assert await client.closed() == 1008

    asyncio.run(run())


async def _serve(gate: Gate) -> None:
    """Run the gate's lifespan until cancelled, with a Prefect that does not end by itself."""
    inner = gate.app

    async def lasting(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)
        if scope["type"] == "lifespan":
            await asyncio.get_running_loop().create_future()

    gate.app = lasting
    await lifespan(gate)


def test_a_gate_opens_with_the_newest_keys_and_goes_on_following(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first request the table's ring is in use; a later row is taken without anybody asking."""
    monkeypatch.setattr(key_follower, "LOOK_SECONDS", 0.0)

    async def run() -> None:
        table = Table(SIGNER.sign(2, ring(a="one", b="two")))
        gate = followed(make_gate(Inner(), opened=False, a="one"), table, ring(a="one"))
        serving = asyncio.ensure_future(_serve(gate))
        await until(lambda: gate.opened)
        assert gate.keys.names == {"a", "b"}
        table.row = SIGNER.sign(3, ring(b="two"))
        await until(lambda: gate.keys.names == {"b"})
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(run())


def test_a_gate_that_cannot_see_the_table_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ends with a sentence; its restart policy tries again."""
    monkeypatch.setattr("prefect_server.key_follower.START_PAUSE_SECONDS", 0)

    async def run() -> None:
        gate = followed(make_gate(Inner(), opened=False), Table(away=True), ring(worker="good-key"))
        said = await lifespan(gate)
        assert said["type"] == "lifespan.startup.failed"
        assert "could not start with the newest keys" in said["message"]
        assert not gate.opened

    asyncio.run(run())


def test_only_the_publisher_exchanges_keys() -> None:
    """An accepted key reads the report and changes nothing; the publisher's credential opens nothing else."""

    async def run() -> None:
        table = Table()
        gate = followed(make_gate(Inner(), worker="good-key"), table, ring(worker="good-key"))
        newer = SIGNER.sign(5, ring(worker="good-key", joiner="new"))
        assert (await ask(gate, "PUT", "good-key", body(newer)))[0] == 404
        assert (await ask(gate, "PUT", "wrong", body(newer)))[0] == 401
        assert gate.keys.names == {"worker"}
        assert await http_status(gate, "GET", "/api/version", [f"Bearer {SIGNER.publisher}".encode()]) == 401
        status, said = await ask(gate, "PUT", SIGNER.publisher, body(newer))
        assert (status, said["generation"]) == (200, 5)
        assert gate.keys.names == {"worker", "joiner"}
        assert table.row == newer
        assert (await ask(gate, "GET", SIGNER.publisher))[1] == said
        _, report = await ask(gate, "GET", "good-key")
        assert (report["generation"], set(report["keys"])) == (5, {"worker", "joiner"})  # type: ignore[call-overload]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ({"type": "http.request", "body": b"[" * 9000}, 400),
        ({"type": "http.request", "body": b"{}"}, 400),
        ({"type": "http.request", "body": b'{"generation": 1.5, "ring": "{}", "mac": ""}'}, 400),
        ({"type": "http.request", "body": b'{"generation": true, "ring": "{}", "mac": ""}'}, 400),
        ({"type": "http.request", "body": b'{"generation": 2, "ring": 1, "mac": ""}'}, 400),
        ({"type": "http.request", "body": b'{"generation": 2, "ring": "\\ud800", "mac": ""}'}, 400),
        ({"type": "http.request", "body": b"x" * (LONGEST_BODY + 1), "more_body": True}, 413),
        ({"type": "http.disconnect"}, 400),
        (body(Signer("another").sign(9, ring(intruder="x"))), 403),
    ],
)
def test_what_is_no_ring_of_ours_is_refused_with_a_reason(message: Message, status: int) -> None:
    """Whatever whoever holds the credential sends, the keys stay as they are and nothing raises."""

    async def run() -> None:
        gate = followed(make_gate(Inner(), worker="good-key"), Table(), ring(worker="good-key"))
        answered, said = await ask(gate, "PUT", SIGNER.publisher, message)
        assert (answered, said["generation"]) == (status, 1)
        assert said["exception_message"]
        assert gate.keys.names == {"worker"}

    asyncio.run(run())
