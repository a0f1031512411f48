"""Programs in a test's own process, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from pulumi.runtime import settings as runtime

from sandbox.core.ports import free_port
from tests.support.inline import surroundings

METHOD = "/engine/Ready"


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
    channel.unary_unary(METHOD, request_serializer=bytes)(b"", timeout=60)


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
