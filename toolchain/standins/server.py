"""Serves a stand-in to the engine.

The SDK's own `server.main` would report a failure as `Unexpected <class '…'>: text`; a plugin's text must stand alone,
so failures are aborted with exactly it. Everything else is the SDK's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc
import grpc.aio
from pulumi.provider.experimental.provider import Provider
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2_grpc

_LOOK_EVERY = 1.0
"""Seconds between two looks at whether the engine is there."""
_NO_LIMIT = [("grpc.max_receive_message_length", 400 * 1024 * 1024), ("grpc.max_send_message_length", -1)]


class PluginError(Exception):
    """An operation failed; the text is shown to the user as it is."""


class Log(Protocol):
    """How a plugin speaks to the engine's display."""

    async def __call__(self, urn: str, text: str, *, status: bool = False) -> None:
        """Show one line beside a resource; status lines are replaced by the next."""


class EngineLog:
    """Sends lines to the engine that started this plugin.

    Args:
        address: the engine's loopback address, the plugin's first argument.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._stub: Any = None

    async def __call__(self, urn: str, text: str, *, status: bool = False) -> None:
        """Show one line at severity info; text that is not valid Unicode arrives with replacement characters."""
        if self._stub is None:
            self._stub = engine_pb2_grpc.EngineStub(grpc.aio.insecure_channel(self._address))
        line = engine_pb2.LogRequest(severity=engine_pb2.INFO, message=text, urn=urn, ephemeral=status)
        # An engine that is on its way out takes no more lines; what runs here goes on to its own end.
        with contextlib.suppress(grpc.aio.AioRpcError):
            await self._stub.Log(line)


class _Servicer(ProviderServicer):
    """The SDK's servicer, with failures as plain sentences."""

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        return await _or_abort(super().Configure, request, context)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        return await _or_abort(super().Check, request, context)

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        return await _or_abort(super().Create, request, context)

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        return await _or_abort(super().Update, request, context)

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        return await _or_abort(super().Delete, request, context)


def serve(argv: list[str], version: str, make: Callable[[Log], Provider]) -> None:
    """Serve until the engine ends this process or is gone; prints the port, by which the engine finds the plugin."""
    addresses = [argument for argument in argv if not argument.startswith("-")]
    if not addresses:
        sys.exit("could not serve the plugin: the engine starts it with its own address as argument.")
    asyncio.run(_serve(addresses[0], version, make))


async def _serve(address: str, version: str, make: Callable[[Log], Provider]) -> None:
    engine = os.getppid()
    server = grpc.aio.server(options=_NO_LIMIT)
    provider = make(EngineLog(address))
    servicer = _Servicer([], version, provider, engine_address=address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await _until_told_to_end(engine)
    await provider.cancel()
    await server.stop(grace=None)
    # A thread that waits for Docker would hold an ordinary exit up until its build is done.
    os._exit(0)


async def _until_told_to_end(engine: int) -> None:
    """Return when the engine interrupts this process, or is gone: one that was killed cannot end its plugins."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    while not told.is_set() and os.getppid() == engine:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), _LOOK_EVERY)


async def _or_abort(call: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any) -> Any:
    try:
        return await call(request, context)
    except PluginError as failure:
        await context.abort(grpc.StatusCode.UNKNOWN, str(failure))
