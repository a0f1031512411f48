"""The base of every emulated API: an aiohttp server with journal, faults, authentication and control calls.

A subclass gives `name`, `routes()` and, where its API has them, its own `authenticate` and `error`. A call goes
journal → faults → authentication → handler. A route that does not exist answers 501 and names itself: a program that
relies on it must not mistake the sandbox's ignorance for the API's answer.
"""

from __future__ import annotations

import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web

from sandbox.core.control import control_routes
from sandbox.core.core import Core
from sandbox.core.faults import Fault, cut
from sandbox.core.ports import port_candidates, take_nobody_new

_DROPPED = web.RequestKey("dropped", bool)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Service:
    """One emulated API on one loopback port."""

    name = "service"

    def __init__(self, core: Core) -> None:
        self.core = core
        self.clock = core.clock
        self.faults = core.faults_of(self.name)
        self.port: int | None = None
        self._runner: web.AppRunner | None = None
        self._listening: socket.socket | None = None

    # What a subclass gives

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the API's routes."""
        return ()

    async def authenticate(self, request: web.Request) -> web.StreamResponse | None:  # noqa: ARG002 - a hook
        """Return the refusal of a call that may not be made, or None when it may."""
        return None

    def error(self, status: int, text: str) -> web.Response:
        """Return an error in the form the API uses."""
        return web.json_response({"error": text}, status=status)

    async def reset(self) -> None:
        """Go back to the first state."""

    # The server

    @property
    def url(self) -> str:
        """Return the base address, without a trailing slash; only while it runs."""
        return f"http://127.0.0.1:{self.port}"

    def application(self) -> web.Application:
        """Return the aiohttp application with everything around the routes."""
        application = web.Application(
            middlewares=[self._journal_middleware, self._fault_middleware, self._guard_middleware],
            client_max_size=16 * 1024 * 1024,
        )
        application.add_routes(control_routes(self))
        application.add_routes(list(self.routes()))
        return application

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listen on `port`, or on a free one for 0, and return it."""
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            self._listening = await _listen(runner, host, port)
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = int(runner.addresses[0][1])
        return self.port

    async def stop(self) -> None:
        """Close the server; safe to call twice."""
        if self._runner is not None and self._listening is not None:
            await take_nobody_new([self._listening])
            await self._runner.cleanup()
            self._runner = self._listening = None

    # Around every call

    @web.middleware
    async def _journal_middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_sandbox/"):
            return await handler(request)
        status = 500
        try:
            response = await handler(request)
            status = 0 if request.get(_DROPPED) else response.status
        except web.HTTPException as answer:
            status = answer.status
            raise
        finally:
            self.core.journal.record(self.name, request.method, request.path, status)
            if request.method not in {"GET", "HEAD", "OPTIONS"}:
                self.core.store.save()
        return response

    @web.middleware
    async def _fault_middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_sandbox/"):
            return await handler(request)
        fault = self.faults.take(request.method, request.path)
        if fault is None:
            return await handler(request)
        fault.caller = request.get_extra_info("peername")[1]
        if fault.delay:
            await self.clock.sleep(fault.delay)
        if fault.reset:
            return _cut(request)
        if fault.status is not None:
            return _scripted_answer(fault)
        response = await handler(request)
        await self.faults.hold(fault, self.clock)
        return _cut(request) if fault.drop_answer else response

    @web.middleware
    async def _guard_middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_sandbox/"):
            return await handler(request)
        unknown = request.match_info.http_exception
        if unknown is not None and unknown.status in {404, 405}:
            return self.error(501, f"the sandbox's {self.name} does not know {request.method} {request.path}")
        refusal = await self.authenticate(request)
        return refusal if refusal is not None else await handler(request)


async def _listen(runner: web.AppRunner, host: str, port: int) -> socket.socket:
    problem = OSError("no port to listen on")
    for candidate in port_candidates(port):
        try:
            listening = socket.create_server((host, candidate))
        except OSError as taken:
            problem = taken
        else:
            await web.SockSite(runner, listening).start()
            return listening
    raise problem


def bearer_token(request: web.Request, schemes: tuple[str, ...] = ("bearer",)) -> str | None:
    """Return the token of the Authorization header when its scheme is one of `schemes` (lower case), else None."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() in schemes and token.strip() else None


def same_token(given: str | None, expected: str) -> bool:
    """Compare two tokens in constant time."""
    return given is not None and hmac.compare_digest(given.encode(), expected.encode())


async def read_json(request: web.Request) -> dict[str, Any]:
    """Return the body as a JSON object; an absent body is an empty object.

    Raises:
        ValueError: it is something else.
    """
    raw = await request.read()
    if not raw:
        return {}
    value = json.loads(raw)
    if not isinstance(value, dict):
        raise TypeError("the body is no JSON object")
    return value


def _scripted_answer(fault: Fault) -> web.Response:
    status = fault.status or 200
    if fault.body is None:
        return web.Response(status=status, headers=fault.headers)
    if isinstance(fault.body, str):
        return web.Response(status=status, text=fault.body, headers=fault.headers)
    return web.json_response(fault.body, status=status, headers=fault.headers)


def _cut(request: web.Request) -> web.Response:
    """Reset the connection and give aiohttp something to return."""
    request[_DROPPED] = True
    cut(request.transport)
    return web.Response(status=500)
