"""What programs in the test's process leave to the next ones."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from pulumi.automation import _server
from pulumi.runtime import settings as runtime

from sandbox.core.ports import free_port
from tests.support.inline import ClosingServer, close, surroundings
from tests.support.waiting import PATIENCE


class LostEngine(grpc.RpcError):
    """What a call says of an engine that was killed."""


async def _nobody_awaits() -> None:
    raise LostEngine


async def _fails_on_its_way_out() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        task = asyncio.create_task(_nobody_awaits())
        await asyncio.wait([task])
        del task
        gc.collect()  # says here that nobody asked, upon which Pulumi's handler stops the loop
        await asyncio.sleep(0)


def test_a_loop_that_pulumi_stops_is_closed_all_the_same() -> None:
    """Its tasks end first; one that is left open is a warning in some later test."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(ClosingServer(lambda: None)._exception_handler)
    task = loop.create_task(_fails_on_its_way_out())
    loop.run_until_complete(asyncio.sleep(0))
    close(loop)
    assert loop.is_closed()
    assert task.cancelled()


def test_each_of_two_programs_closes_its_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one whose engine is lost may end while the next one begins."""
    begun, first_ended = threading.Event(), threading.Event()
    made: list[asyncio.AbstractEventLoop] = []

    def run(_self: Any, request: str, _context: object) -> None:
        if request == "first":
            made.append(vars(_server)["asyncio"].new_event_loop())
            assert begun.wait(PATIENCE)
            return
        begun.set()
        assert first_ended.wait(PATIENCE)
        made.append(vars(_server)["asyncio"].new_event_loop())

    monkeypatch.setattr(_server.LanguageServer, "Run", run)
    server = ClosingServer(lambda: None)
    with ThreadPoolExecutor(2) as pool, surroundings({}):
        first = pool.submit(server.Run, "first", None)
        second = pool.submit(server.Run, "second", None)
        first.result(PATIENCE)
        assert [loop.is_closed() for loop in made] == [True]
        first_ended.set()
        second.result(PATIENCE)
    assert [loop.is_closed() for loop in made] == [True, True]


class _Answer(grpc.GenericRpcHandler):
    def service(self, _details: Any) -> Any:
        """Answer everything with nothing."""
        return grpc.unary_unary_rpc_method_handler(lambda *_: b"")


@contextmanager
def engine(port: int) -> Iterator[None]:
    with ThreadPoolExecutor(1) as pool:
        server = grpc.server(pool, handlers=[_Answer()])
        server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        try:
            yield
        finally:
            server.stop(None).wait()


def open_channel(port: int) -> grpc.Channel:
    """Open one as the SDK does."""
    options = runtime._GRPC_CHANNEL_OPTIONS  # type: ignore[attr-defined]
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=options)


def ask(channel: grpc.Channel) -> None:
    """Ask the engine at the other end, who has to answer at once."""
    channel.unary_unary("/engine/Ready", request_serializer=bytes)(b"", timeout=PATIENCE)


def test_an_engine_at_the_port_of_one_that_has_ended_is_found() -> None:
    """The SDK leaves its channel open, and gRPC would say of the new engine what it last knew of the old: refused."""
    port = free_port()
    with surroundings({}):
        left_open = open_channel(port)
        with engine(port):
            ask(left_open)
        with pytest.raises(grpc.RpcError, match="refused"):
            ask(left_open)
    with engine(port), surroundings({}):
        ask(open_channel(port))
