"""Which ports a sandbox takes, and connections that come at the very end of what listens on them."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from sandbox.core.clock import Clock
from sandbox.core.core import Core
from sandbox.core.ports import PORTS, VARIABLE, PortsError, free_port, port_candidates
from sandbox.core.service import Service
from sandbox.edge import Edge, Route


@pytest.mark.parametrize("port", [port_candidates, lambda: [free_port()]], ids=["candidates", "free_port"])
def test_ports_are_of_the_part_that_is_stated(
    monkeypatch: pytest.MonkeyPatch, port: Callable[[], Iterable[int]]
) -> None:
    """Sandboxes that state parts of their own never take a port that another one left for a moment."""
    monkeypatch.setenv(VARIABLE, "20000-20009")
    assert {each for each in port() if each} <= set(range(20_000, 20_010))


@pytest.mark.parametrize("stated", ["20000", "a-b", "9-8", "0-5", "1-70000"])
def test_a_part_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch, stated: str) -> None:
    """It names the variable and shows how to write it."""
    monkeypatch.setenv(VARIABLE, stated)
    with pytest.raises(PortsError, match=f'could not use {VARIABLE} = "{stated}": state it as FIRST-LAST'):
        free_port()


def test_workers_of_a_test_run_have_ports_of_their_own() -> None:
    """A sandbox that a test stops and starts again finds its ports, whatever other workers start meanwhile."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    assert (VARIABLE in os.environ) == bool(workers)
    if workers:
        first, last = map(int, os.environ[VARIABLE].split("-"))
        number = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
        assert first == PORTS.start + number * (last - first + 1)
        assert last < PORTS.stop


def edge() -> Edge:
    return Edge(Clock(), lambda _: Route(resolves=False))


@pytest.mark.parametrize("made", [lambda: Service(Core.in_memory()), edge], ids=["an API", "the edge"])
def test_a_connection_taken_just_before_the_end_is_closed(made: Callable[[], Service | Edge]) -> None:
    """It ends for its client, and nothing of it is left open here: the next garbage collection would find it."""
    wrong: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        listener = made()
        port = await listener.start()
        with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
            # The loop sees the connection, takes it, and would have a server for it in its next round.
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await listener.stop()
            assert await asyncio.to_thread(client.recv, 1) == b""
        await listener.stop()

    asyncio.run(run())
    gc.collect()
    assert wrong == []


def test_a_connection_taken_just_before_a_door_is_shut_is_closed() -> None:
    """An app's name goes while its port takes somebody: they are served or closed, and the port is held again."""
    wrong: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        leads = {"app": True}
        shutting = Edge(Clock(), lambda name: Route(resolves=leads[name]), resolve_delay=0.0)
        port = shutting.port_of("app")
        for _ in range(2):
            leads["app"] = True
            shutting.refresh("app")
            opening = shutting._doors["app"].opening
            assert opening is not None
            await opening
            with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                leads["app"] = False
                shutting.refresh("app")
                assert not shutting.is_open("app")
                client.sendall(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
                assert (await asyncio.to_thread(client.recv, 12)) == b"HTTP/1.1 503"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=120)
        await shutting.stop()

    asyncio.run(run())
    gc.collect()
    assert wrong == []
