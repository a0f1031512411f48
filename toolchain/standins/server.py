"""Serves a stand-in to the engine.

A plugin's text must stand alone, so failures are aborted with exactly it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf import empty_pb2  # type: ignore[import-untyped]  # it has no types
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, plugin_pb2, provider_pb2, provider_pb2_grpc

from toolchain.standins import protocol
from toolchain.standins.protocol import Provider, from_wire, to_wire

Answer = TypeVar("Answer")

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


class _Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol's side of a provider; a failure's text stands alone."""

    def __init__(self, version: str, provider: Provider) -> None:
        self._version, self._provider = version, provider

    async def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  the protocol's signature
        return plugin_pb2.PluginInfo(version=self._version)

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  the protocol's signature
        return provider_pb2.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  the protocol's signature
        return provider_pb2.DiffResponse()

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        await _or_abort(self._provider.configure(dict(request.variables)), context)
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=self._provider.supports_preview)

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        asked = protocol.CheckRequest(urn=request.urn, new_inputs=from_wire(request.news))
        checked = await _or_abort(self._provider.check(asked), context)
        failures = [provider_pb2.CheckFailure(property=each.property, reason=each.reason) for each in checked.failures]
        return provider_pb2.CheckResponse(inputs=to_wire(checked.inputs), failures=failures)

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        olds, news = from_wire(request.olds), from_wire(request.news)
        asked = protocol.DiffRequest(urn=request.urn, old_state=olds, new_inputs=news)
        found = await _or_abort(self._provider.diff(asked), context)
        detailed = {
            path: provider_pb2.PropertyDiff(
                kind=getattr(provider_pb2.PropertyDiff, diff.kind.name), inputDiff=diff.input_diff
            )
            for path, diff in found.detailed_diff.items()
        }
        some, none = provider_pb2.DiffResponse.DIFF_SOME, provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(
            changes=some if detailed else none,
            replaces=found.replaces,
            diffs=found.diffs,
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        properties = from_wire(request.properties)
        asked = protocol.CreateRequest(urn=request.urn, properties=properties, preview=request.preview)
        made = await _or_abort(self._provider.create(asked), context)
        return provider_pb2.CreateResponse(id=made.resource_id, properties=to_wire(made.properties))

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  the protocol's signature
        return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        olds, news = from_wire(request.olds), from_wire(request.news)
        asked = protocol.UpdateRequest(urn=request.urn, olds=olds, news=news, preview=request.preview)
        return provider_pb2.UpdateResponse(properties=to_wire(await _or_abort(self._provider.update(asked), context)))

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802  the protocol's name
        asked = protocol.DeleteRequest(urn=request.urn, properties=from_wire(request.properties))
        await _or_abort(self._provider.delete(asked), context)
        return empty_pb2.Empty()

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802  the protocol's signature
        await self._provider.cancel()
        return empty_pb2.Empty()


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
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(_Servicer(version, provider), server)
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


async def _or_abort(answer: Awaitable[Answer], context: Any) -> Answer:
    try:
        return await answer
    except PluginError as failure:
        # Raises: what comes after it is not reached.
        await context.abort(grpc.StatusCode.UNKNOWN, str(failure))
        raise
