"""What every Fly route needs: the caller's tokens, the app and machine of the path, refusals as JSON."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.core.core import Core
from sandbox.core.service import read_json
from sandbox.edge import Edge
from sandbox.fly.deletions import Deletions
from sandbox.fly.errors import BadRequest, Conflict, FlyProblem, NotFound
from sandbox.fly.fleet import Fleet
from sandbox.fly.lifecycle import Life
from sandbox.fly.limits import RateLimits
from sandbox.fly.logs import LogBuffer
from sandbox.fly.models import App, Lease, Machine, Token
from sandbox.fly.state import FlyState

TOKENS: web.RequestKey[list[Token]] = web.RequestKey("tokens", list)
NONCE_HEADER = "fly-machine-lease-nonce"


class Calls:
    """What the routes share.

    Args:
        core: clock, faults, journal.
        state: what is remembered.
        fleet: the machines.
        edge: told when an app comes, goes or changes.
        logs: what machines have printed.
        limits: how fast calls may come.
    """

    def __init__(
        self, core: Core, state: FlyState, fleet: Fleet, edge: Edge, logs: LogBuffer, limits: RateLimits
    ) -> None:
        self.core = core
        self.clock = core.clock
        self.state = state
        self.fleet = fleet
        self.edge = edge
        self.logs = logs
        self.limits = limits
        self.deletions = Deletions(fleet, edge)

    def tokens(self, request: web.Request) -> list[Token]:
        """Return the caller's tokens."""
        return request[TOKENS]

    def app(self, request: web.Request) -> App:
        """Return the app of the path.

        Raises:
            NotFound, Forbidden: see `FlyState.app`.
            Conflict: it is to be changed and is being deleted.
        """
        app = self.state.app(self.tokens(request), request.match_info["app"])
        if app.deleting and request.method not in {"GET", "DELETE"}:
            raise Conflict("failed_precondition: app is being deleted")
        return app

    def machine(self, request: web.Request, *, alive: bool = False) -> tuple[App, Machine]:
        """Return the machine of the path and its app.

        Raises:
            NotFound: no such machine, or, when it has to be alive, it is destroyed.
        """
        app = self.app(request)
        machine = self.state.machine(app, request.match_info["machine"])
        if alive and machine.destroyed:
            raise NotFound("machine not found")
        return app, machine

    def life(self, machine: Machine) -> Life:
        """Return the machine's life."""
        return self.fleet.life(machine)

    def lease_of(self, machine: Machine) -> Lease | None:
        """Return the lease that is in force, if any."""
        if machine.lease is not None and machine.lease.expires_at <= self.clock.time():
            machine.lease = None
        return machine.lease

    def require_lease(self, request: web.Request, machine: Machine) -> None:
        """Let a change through when no lease is in force or the caller has its nonce.

        Raises:
            Conflict: somebody else holds it, or the host does not answer.
        """
        if machine.host_status != "ok":
            raise Conflict("failed_precondition: machine's host is unreachable")
        lease = self.lease_of(machine)
        if lease is not None and request.headers.get(NONCE_HEADER) != lease.nonce:
            expires = self.clock.rfc3339(lease.expires_at)
            raise Conflict(f"machine ID {machine.id} lease currently held by {lease.owner}, expires at {expires}")


def answering(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Callable[..., Any]:
    """Wrap a handler so that its refusals become the API's answers."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except FlyProblem as problem:
            return web.json_response(problem.body(), status=problem.http_status)

    return answer


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object a call carries.

    Raises:
        BadRequest: it carries something else.
    """
    try:
        return await read_json(request)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as problem:
        raise BadRequest("invalid_argument: unable to decode the JSON body") from problem


def flag(request: web.Request, name: str) -> bool:
    """Tell whether a query flag is set."""
    return request.query.get(name, "").lower() in {"1", "true"}
