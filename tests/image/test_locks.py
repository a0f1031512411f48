"""Nobody without a key gets anywhere on the real server, by whatever way, and a flood or a slow client stops nobody."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import aiohttp
import pytest
import requests
from prefect_server.credentials import LONGEST_FIRST_MESSAGE
from prefect_server.protocol_limits import HEAD_SECONDS
from prefect_server.sockets import FIRST_MESSAGE_SECONDS
from prefect_server.surface import API_BASE, SOCKETS

from tests.image.conftest import KEYS
from tests.support.prefect_server import Program
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.prefect

KEY = KEYS["orchestrator"]
SOCKET_PATHS = sorted(API_BASE + path.replace("{work_pool_name}", "pool") for path in SOCKETS)


def status(server: Program, path: str, method: str = "GET", **headers: str) -> int:
    """The status of a request whose path is sent as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    try:
        connection.request(method, path, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def basic(credential: str) -> str:
    """A Basic header's value."""
    return "Basic " + b64encode(credential.encode()).decode()


@pytest.mark.parametrize("path", ["/api/health", "/api/ready", "/", "/v2/", "/ui-settings", "/lineage"])
def test_open_surface(server: Program, path: str) -> None:
    """Health, ready and the UI's files need no credential."""
    assert status(server, path) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api", "/api/", "/api/version", "/api/health/", "/api/ready/", "/api/docs", "/api/openapi.json",
        "/api/metrics", "/api/static/prefect-logo-mark-gradient.png", "/api/csrf-token", "/api//health",
        "/api/./health", "//api/version", "/./api/version", "/x/../api/version", "/%61pi/version",
        "/%2561pi/version", "/api%2fversion", "/API/version",
        "/api\\version", "/docs", "/docs/", "/%64ocs", "//docs", "/./docs", "/docs%2f", "/openapi.json", "/redoc",
        "/docs/oauth2-redirect", "/gate/keys", "/gate/status", "/gate/",
        "/api/variables/name/system-health", "/api/x/api/health", "/api/lineage",
    ],
)  # fmt: skip
def test_closed_surface(server: Program, path: str) -> None:
    """Everything else answers 401 without a key, in whatever disguise the path comes."""
    assert status(server, path) == 401


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_open_paths_are_open_for_get_only(server: Program, method: str) -> None:
    """Another method on an open path is not open."""
    assert status(server, "/api/health", method) == 401
    assert status(server, "/api/ready", method) == 401


@pytest.mark.parametrize(
    "given",
    [f"Bearer {KEY}", f"bearer {KEY}", f"Bearer orchestrator:{KEY}", basic(KEY), basic(f"orchestrator:{KEY}"),
     basic(f"admin:{KEYS['admin']}")],
)  # fmt: skip
def test_every_accepted_form(server: Program, given: str) -> None:
    """A key opens the API as Bearer and as Basic, alone and with its name; a person's login is such a key."""
    assert status(server, "/api/admin/version", Authorization=given) == 200


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"Bearer {KEY}x", f"Token {KEY}", KEY, f"Bearer github:{KEY}", f"Bearer nobody:{KEY}",
     "Basic", "Basic %%%", basic("orchestrator:"), basic(":"), basic(f"github:{KEY}"), basic(f":{KEY}"),
     f"Bearer {KEY}, Bearer {KEY}", "Bearer " + "x" * 10_000, basic("\ufeff" + KEY)],
)  # fmt: skip
def test_every_other_form_is_refused(server: Program, given: str) -> None:
    """A wrong key, a wrong name, an unreadable header: 401 and never an error of the server."""
    assert status(server, "/api/admin/version", Authorization=given) == 401


def test_two_headers_are_refused(server: Program) -> None:
    """With two Authorization headers it is unclear which one counts, so neither does."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=600) as raw:
        line = f"Authorization: Bearer {KEY}\r\n"
        raw.sendall(f"GET /api/version HTTP/1.1\r\nHost: x\r\n{line}{line}\r\n".encode())
        assert b" 401 " in raw.recv(1000)


def first_reply(server: Program, path: str, first: str | bytes | None, **headers: str) -> object:
    """What a websocket's first message is answered with: the reply's type, a close code, or the refused upgrade."""

    async def talk() -> object:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(server.url + path, protocols=["prefect"], headers=headers) as opened:
                    if isinstance(first, bytes):
                        await opened.send_bytes(first)
                    elif first is not None:
                        await opened.send_str(first)
                    message = await opened.receive(timeout=600)
                    if message.type is aiohttp.WSMsgType.TEXT:
                        return json.loads(message.data)["type"]
                    return opened.close_code
            except aiohttp.WSServerHandshakeError as error:
                return f"HTTP {error.status}"

    return asyncio.run(talk())


def auth(token: object) -> str:
    """A stock client's first message."""
    return json.dumps({"type": "auth", "token": token})


@pytest.mark.parametrize("path", SOCKET_PATHS)
def test_sockets_let_keys_in(server: Program, path: str) -> None:
    """Each of Prefect's websockets takes a key, alone and with its name, and a header on the upgrade with no token."""
    assert first_reply(server, path, auth(KEY)) == "auth_success"
    assert first_reply(server, path, auth(f"orchestrator:{KEY}")) == "auth_success"
    assert first_reply(server, path, auth(None), Authorization=f"Bearer {KEY}") == "auth_success"


@pytest.mark.parametrize("path", SOCKET_PATHS)
@pytest.mark.parametrize(
    "first",
    [auth(None), auth(""), auth("guess"), auth(f"github:{KEY}"), auth([KEY]), auth({"a": 1}), auth(True), "{}", "[]",
     "null", '"x"', "no json", '{"type": "auth", "token": "\\ud800"}', "[" * 4000, "x" * 100_000, b"\xff\xfe",
     json.dumps({"type": "subscribe", "token": KEY})],
    ids=range(17),
)  # fmt: skip
def test_sockets_refuse_everything_else(server: Program, path: str, first: str | bytes) -> None:
    """Whatever else comes first, each websocket is closed (1008, too long 1009), without a traceback in the log."""
    before = server.log.count("Traceback")
    too_long = isinstance(first, str) and len(first) > LONGEST_FIRST_MESSAGE
    assert first_reply(server, path, first) == (1009 if too_long else 1008)
    assert server.log.count("Traceback") == before
    assert "prefect.server.utilities.subscriptions" not in server.log


@pytest.mark.parametrize(
    "path", ["/api/events/in/", "/api/unknown", "/events/in", "/", "/api/work_pools/a/b/workers/connect"]
)
def test_unknown_sockets_are_refused(server: Program, path: str) -> None:
    """A websocket on any other path is refused before it is opened, whatever it would have said."""
    assert first_reply(server, path, auth(KEY), Authorization=f"Bearer {KEY}") == "HTTP 403"


def without_subprotocol(server: Program, path: str, **headers: str) -> object:
    """What becomes of a websocket that says neither the subprotocol nor a first message, as older clients' do."""

    async def talk() -> object:
        async with aiohttp.ClientSession(headers=headers) as session:
            try:
                async with session.ws_connect(server.url + path) as opened:
                    try:
                        message = await opened.receive(timeout=3)
                    except TimeoutError:
                        return "open"
                    return message.data
            except aiohttp.WSServerHandshakeError as error:
                return f"HTTP {error.status}"

    return asyncio.run(talk())


def test_older_clients_need_a_key_in_the_upgrade_and_nothing_else(server: Program) -> None:
    """The gate says subprotocol and first message for them, and keeps the answer to itself; a wrong key is refused."""
    for given in (f"Bearer {KEY}", basic(f"orchestrator:{KEY}")):
        assert without_subprotocol(server, "/api/events/in", Authorization=given) == "open"
    for given in ("Bearer guess", basic(f"github:{KEY}"), ""):
        headers = {"Authorization": given} if given else {}
        assert without_subprotocol(server, "/api/events/in", **headers) == "HTTP 403"


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/redoc", "/api/health", "/api/version", "/"])
@pytest.mark.parametrize("tail", ["%0a", "%0A", "%250a", "%00", "%7f", "%0d%0a"])
def test_a_path_with_a_control_character_is_refused(server: Program, path: str, tail: str) -> None:
    """A router may match before a line feed: `/openapi.json%0a` made the whole schema for anybody."""
    assert status(server, f"{path}{tail}") == 400


@contextmanager
def slow_clients(server: Program) -> Iterator[list[socket.socket]]:
    """Three hundred clients: a third says nothing, a third half a head, a third drips a body nobody may send."""
    body = b"POST /api/flows/filter HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
    starts = [b"", b"GET /api/version HTTP/1.1\r\nHost: x\r\nX-Slow: ", body]
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(300)]
        for number, client in enumerate(clients):
            client.sendall(starts[number % 3])
        yield clients


def ask(server: Program) -> None:
    """Send a good client's request, which is answered."""
    reply = requests.get(f"{server.api_url}/admin/version", headers={"Authorization": f"Bearer {KEY}"}, timeout=600)
    assert reply.status_code == 200


def still_open(client: socket.socket) -> bool:
    """Tell whether the server has not hung up yet."""
    client.setblocking(False)
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    finally:
        client.setblocking(True)


def served_beside_slow_clients(server: Program) -> bool:
    """Tell whether a good client is answered while all slow ones are connected; wait until these are cut off."""
    with slow_clients(server) as clients:
        ask(server)
        beside = all(map(still_open, clients))
        deadline = time.monotonic() + HEAD_SECONDS + PATIENCE
        for client in clients:
            client.settimeout(max(deadline - time.monotonic(), 0.1))
            while client.recv(4096):
                pass
    return beside


def test_slow_clients_starve_nobody(server: Program) -> None:
    """A good client is served while three hundred slow ones are connected, and the slow ones are cut off."""
    # A server that is starved fails each time; a busy machine may be too slow once to connect so many and ask.
    assert any(served_beside_slow_clients(server) for _ in range(5)), "it is served only after others are cut off"


def test_silent_sockets_starve_nobody(server: Program) -> None:
    """Two hundred websockets that never say who they are neither keep a good one out nor stay."""

    async def crowd() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            url = f"{server.api_url}/events/in"
            silent = [await session.ws_connect(url, protocols=["prefect"]) for _ in range(200)]
            async with session.ws_connect(url, protocols=["prefect"]) as good:
                await good.send_str(auth(KEY))
                assert (await good.receive_json(timeout=600))["type"] == "auth_success"
                await asyncio.gather(*(each.receive(timeout=600) for each in silent))
                assert {each.close_code for each in silent} == {1008}
                with pytest.raises(TimeoutError):  # the good one stays open beyond every limit for strangers
                    await good.receive(timeout=HEAD_SECONDS - FIRST_MESSAGE_SECONDS + 2)

    asyncio.run(crowd())


def test_flood_of_bad_keys(server: Program) -> None:
    """While a thousand wrong keys come in, a good client is answered many times, and the log gets a few lines."""
    before, begun = server.log.count("refused an HTTP request"), time.monotonic()

    async def flood() -> int:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=50)) as session:

            async def guess(number: int) -> int:
                headers = {"Authorization": f"Bearer guess-{number}"}
                async with session.post(f"{server.api_url}/flows/filter", headers=headers, json={}) as reply:
                    return reply.status

            guesses = asyncio.gather(*(guess(number) for number in range(1000)))
            served = 0
            while not guesses.done():
                await asyncio.to_thread(ask, server)
                served += 1
            assert set(await guesses) == {401}
            return served

    # A server that is starved answers the good client once, when the flood is over.
    assert asyncio.run(flood()) > 3
    # The rate is what is limited: a slower machine takes longer.
    assert server.log.count("refused an HTTP request") - before <= 10 + (time.monotonic() - begun)


def test_metrics_stay_private(server: Program) -> None:
    """Prefect's and the gate's metrics are on the private port, with counts per key, and on no public path."""
    ask(server)
    text = requests.get(f"http://127.0.0.1:{server.metrics_port}/metrics", timeout=600).text
    assert 'prefect_gate_requests_total{key="orchestrator",outcome="accepted"}' in text
    assert "prefect_worker_channel" in text
    assert "process_resident_memory_bytes" in text
    assert KEY not in text
    assert "process_resident" not in requests.get(f"{server.url}/metrics", timeout=600).text
    assert requests.get(f"http://127.0.0.1:{server.metrics_port}/", timeout=600).status_code == 404
