from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from sandbox.core.clock import Clock
from sandbox.core.faults import Faults
from sandbox.core.journal import Journal
from sandbox.edge import Backend, Edge, Route


@asynccontextmanager
async def machine(application: web.Application) -> AsyncIterator[Backend]:
    """Run an application as a machine behind the edge."""
    runner = web.AppRunner(application, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Backend("m1", "127.0.0.1", runner.addresses[0][1], healthy=True)
    finally:
        await runner.cleanup()


@asynccontextmanager
async def edge_to(
    directory: Callable[[str], Route], faults: Faults | None = None, journal: Journal | None = None
) -> AsyncIterator[str]:
    """Run an edge and give the address of the app on it."""
    edge = Edge(Clock(), directory, resolve_delay=0.0, faults=faults)
    edge.journal = journal
    await edge.start()
    edge.refresh("web")
    async with asyncio.timeout(10):
        while not edge.is_open("web"):  # noqa: ASYNC110 - what is waited for is a socket
            await asyncio.sleep(0.01)
    try:
        yield edge.url_of("web")
    finally:
        await edge.stop()


def test_websockets_pass_with_their_subprotocol_and_close_code() -> None:
    """Messages go both ways, and the machine's close code 1008 reaches the client: clients act on it."""

    async def chat(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=("prefect",))
        await socket.prepare(request)
        await socket.send_str("you said " + (await socket.receive_str()))
        await socket.close(code=1008, message=b"no")
        return socket

    async def scenario() -> None:
        application = web.Application()
        application.add_routes([web.get("/ws", chat)])
        async with AsyncExitStack() as stack:
            backend = await stack.enter_async_context(machine(application))
            url = await stack.enter_async_context(edge_to(lambda _: Route(resolves=True, backends=(backend,))))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            socket = await stack.enter_async_context(session.ws_connect(f"{url}/ws", protocols=("prefect",)))
            assert socket.protocol == "prefect"
            await socket.send_str("hello")
            assert await socket.receive_str() == "you said hello"
            await socket.receive()
            assert socket.close_code == 1008

    asyncio.run(scenario())


def test_a_machine_that_cannot_be_connected_to_is_passed_over() -> None:
    """Before a byte is sent the next healthy machine may have the request; with none left it is a 502."""

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def scenario() -> None:
        application = web.Application()
        application.add_routes([web.get("/", hello)])
        async with machine(application) as backend:
            dead = Backend("m0", "127.0.0.1", 1, healthy=True)
            backends: tuple[Backend, ...] = (dead, backend)
            async with (
                edge_to(lambda _: Route(resolves=True, backends=backends)) as url,
                aiohttp.ClientSession() as session,
            ):
                for _ in range(4):
                    async with session.get(f"{url}/") as reply:
                        assert (reply.status, await reply.text()) == (200, "hello")
                backends = (dead,)
                async with session.get(f"{url}/") as reply:
                    assert reply.status == 502

    asyncio.run(scenario())


def test_a_request_that_was_sent_is_never_sent_again() -> None:
    """A machine that hangs up after reading the request gets it once, though another healthy machine is there."""
    received = []

    async def scenario() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            backends = tuple(Backend(f"m{number}", "127.0.0.1", port, healthy=True) for number in range(2))
            async with (
                edge_to(lambda _: Route(resolves=True, backends=backends)) as url,
                aiohttp.ClientSession() as session,
                session.post(f"{url}/pay", data=b"1") as reply,
            ):
                assert reply.status == 502
        assert len(received) == 1

    asyncio.run(scenario())


def test_a_client_that_leaves_is_noticed_by_the_machine() -> None:
    """When the client goes away in the middle of an answer, the machine's connection is closed too."""
    left = asyncio.Event()

    async def scenario() -> None:
        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nfirst")
            await reader.read()
            left.set()
            writer.close()

        async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
            backend = Backend("m1", "127.0.0.1", server.sockets[0].getsockname()[1], healthy=True)
            async with edge_to(lambda _: Route(resolves=True, backends=(backend,))) as url:
                async with aiohttp.ClientSession() as session, session.get(f"{url}/") as reply:
                    assert await reply.content.read(5) == b"first"
                async with asyncio.timeout(5):
                    await left.wait()

    asyncio.run(scenario())


@pytest.mark.parametrize("raw", [b"nonsense\r\nx y\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"])
def test_what_is_no_request_is_a_400(raw: bytes) -> None:
    """A head that cannot be read, or is longer than 64 KB, is refused without asking any machine."""

    async def scenario() -> None:
        async with edge_to(lambda _: Route(resolves=True)) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(raw)
            assert (await reader.read(1000)).startswith(b"HTTP/1.1 400")
            writer.close()

    asyncio.run(scenario())


def test_a_call_through_the_edge_meets_scripted_trouble() -> None:
    """Answered for the machine, cut before or after it was asked, or kept waiting; each is noted as the client saw."""
    asked: list[bytes] = []

    async def note(request: web.Request) -> web.Response:
        asked.append(await request.read())
        return web.json_response({"asked": len(asked)}, status=201)

    async def scenario() -> None:
        application = web.Application()
        application.add_routes([web.post("/notes", note)])
        faults, journal = Faults(), Journal(Clock())
        async with AsyncExitStack() as stack:
            backend = await stack.enter_async_context(machine(application))
            route = Route(resolves=True, backends=(backend,))
            url = await stack.enter_async_context(edge_to(lambda _: route, faults, journal))
            session = await stack.enter_async_context(aiohttp.ClientSession())

            async def post(text: str) -> tuple[int, object]:
                async with session.post(f"{url}/notes?token=secret", data=text) as answer:
                    return answer.status, await answer.json()

            faults.add("POST", "^/web/notes$", status=503, body={"error": "down"}, headers={"Retry-After": "1"})
            assert await post("x" * 200_000) == (503, {"error": "down"})
            faults.add("POST", "^/web/notes$", reset=True)
            with pytest.raises(aiohttp.ClientConnectionError):
                await post("before")
            assert asked == []
            faults.add("POST", "^/web/notes$", drop_answer=True)
            with pytest.raises(aiohttp.ClientConnectionError):
                await post("after")
            assert asked == [b"after"]
            faults.add("POST", "^/web/notes$", hold=3600.0)
            waiting = asyncio.create_task(post("held"))
            async with asyncio.timeout(10):
                while len(asked) < 2:  # noqa: ASYNC110 - what is waited for is a request
                    await asyncio.sleep(0.01)
            assert not waiting.done()
            faults.clear()
            assert await waiting == (201, {"asked": 2})
            assert await post("well") == (201, {"asked": 3})
            async with asyncio.timeout(10):
                while len(journal.entries()) < 5:  # noqa: ASYNC110 - noted when both sides have closed
                    await asyncio.sleep(0.01)
        noted = [(call["service"], call["method"], call["path"], call["status"]) for call in journal.entries()]
        assert noted == [("edge", "POST", "/web/notes", status) for status in (503, 0, 0, 201, 201)]

    asyncio.run(scenario())
