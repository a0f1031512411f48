"""A program in the test's own process: nothing is started and imported for it, which is most of what a small one costs.

For tests that look at what the engine and its plugins do, and not at how a program starts or ends.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import runpy
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import grpc
from pulumi import log
from pulumi.automation import _server, _stack
from pulumi.errors import RunError
from pulumi.runtime import settings as runtime
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import language_pb2_grpc

# The SDK leaves its channels open. Another engine may get the port, and gRPC would say of it what it last knew: it
# takes one connection for all channels to an address whose options are the same. It does not know this option.
_programs = itertools.count()


class _NotedLoops(threading.local):
    """asyncio, as Pulumi's server is to see it: the event loops that a thread makes are noted for that thread."""

    def __init__(self) -> None:
        self.made: list[asyncio.AbstractEventLoop] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        self.made.append(asyncio.new_event_loop())
        return self.made[-1]


# One for all: a program whose engine was killed may end beside the next one.
_LOOPS = _NotedLoops()


class ClosingServer(_server.LanguageServer):
    """Closes the loop that Pulumi's own leaves open when an operation or a task of the program failed."""

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802 - the name in Pulumi's protocol
        """Run the program, and close the loop that it ran on."""
        try:
            return super().Run(request, context)  # type: ignore[no-untyped-call]
        finally:
            while _LOOPS.made:
                close(_LOOPS.made.pop())


def program(folder: Path) -> Callable[[], None]:
    """Return the function that runs a folder's `__main__.py`, as the language host does."""

    def run() -> None:
        runpy.run_path(str(folder / "__main__.py"), run_name="__main__")

    return run


@contextmanager
def surroundings(variables: Mapping[str, str]) -> Iterator[None]:
    """Make this process one for a program: its variables, and no handler of a signal, which only a main program has."""
    with (
        environment(variables),
        mock.patch.object(signal, "signal"),
        mock.patch.object(_server, "asyncio", _LOOPS),
        mock.patch.object(_stack, "LanguageServer", ClosingServer),
        mock.patch.object(runtime, "grpc_error_to_exception", _in_full),
        mock.patch.object(
            runtime, "_GRPC_CHANNEL_OPTIONS", [*_GRPC_CHANNEL_OPTIONS, ("test.program", next(_programs))]
        ),
        mock.patch.object(log, "debug", log.debug),  # a program changes it
    ):
        try:
            yield
        finally:
            gc.unfreeze()
            gc.enable()  # a program switches it off for the little while that it lives


@contextmanager
def language_host(folder: Path, variables: Mapping[str, str]) -> Iterator[list[str]]:
    """Serve a folder's program while the block runs; yield the CLI's flags that use it."""
    pool = ThreadPoolExecutor(4)
    server = grpc.server(pool)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(ClosingServer(program(folder)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with surroundings(variables):
            yield [f"--client=127.0.0.1:{port}", "--exec-kind=auto.inline"]
    finally:
        server.stop(None).wait()
        pool.shutdown()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Add to this process's variables, and put back what changed: the sandbox's threads read the rest meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


def _in_full(
    error: grpc.RpcError, shortly: Callable[[grpc.RpcError], Exception] = runtime.grpc_error_to_exception
) -> Exception:
    """Say also what gRPC said: Pulumi takes any lost connection for an engine that has ended."""
    said = shortly(error)
    return RunError(f"{said} ({error.details()})") if isinstance(said, RunError) else said


def close(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what a loop has left to do, and close it, whatever its tasks fail with meanwhile."""
    if loop.is_closed():
        return
    # Pulumi's stops the loop for a lost engine that nobody awaited, in the middle of what runs here.
    loop.set_exception_handler(lambda _loop, _context: None)
    try:
        if left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    finally:
        loop.close()
