"""Leases on machines, and their metadata."""

from __future__ import annotations

import secrets as randomness

from aiohttp import web

from sandbox.core.clock import Clock
from sandbox.fly.calls import NONCE_HEADER, Calls, answering, body_of
from sandbox.fly.errors import BadRequest, Conflict, NotFound, PreconditionFailed
from sandbox.fly.models import Lease, Machine, Token
from sandbox.fly.wire import lease_json

_DEFAULT_TTL = 30.0


def grant(machine: Machine, tokens: list[Token], clock: Clock, seconds: float, description: str) -> Lease:
    """Give a machine a new lease."""
    machine.lease = Lease(
        nonce=randomness.token_hex(6),
        expires_at=clock.time() + seconds,
        owner=tokens[0].user if tokens else "",
        description=description,
        version=machine.instance_id,
    )
    return machine.lease


class LeaseRoutes:
    """Routes below /apps/{app}/machines/{machine}/lease."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        path = "/v1/apps/{app}/machines/{machine}/lease"
        return [
            web.get(path, answering(self.show)),
            web.post(path, answering(self.acquire)),
            web.delete(path, answering(self.release)),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Return the lease in force."""
        _, machine = self._calls.machine(request, alive=True)
        lease = self._calls.lease_of(machine)
        if lease is None:
            raise NotFound("lease not found")
        return web.json_response(lease_json(lease))

    async def acquire(self, request: web.Request) -> web.Response:
        """Take a lease, or with its nonce prolong it."""
        _, machine = self._calls.machine(request, alive=True)
        body = await body_of(request)
        seconds = _ttl(body.get("ttl") or request.query.get("ttl") or _DEFAULT_TTL)
        held = self._calls.lease_of(machine)
        self._calls.require_lease(request, machine)
        if held is not None:
            held.expires_at = self._calls.clock.time() + seconds
            return web.json_response(lease_json(held), status=201)
        description = str(body.get("description") or "")
        lease = grant(machine, self._calls.tokens(request), self._calls.clock, seconds, description)
        return web.json_response(lease_json(lease), status=201)

    async def release(self, request: web.Request) -> web.Response:
        """Give the lease back."""
        _, machine = self._calls.machine(request, alive=True)
        lease = self._calls.lease_of(machine)
        if lease is None:
            raise NotFound("lease not found")
        if request.headers.get(NONCE_HEADER) != lease.nonce:
            raise Conflict("lease nonce does not match")
        machine.lease = None
        return web.json_response({"status": "success", "data": {"ok": True}})


class MetadataRoutes:
    """Routes below /apps/{app}/machines/{machine}/metadata: changes that restart nothing."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        path = "/v1/apps/{app}/machines/{machine}/metadata"
        return [
            web.get(path, answering(self.show)),
            web.put(path, answering(self.replace)),
            web.patch(path, answering(self.patch)),
            web.get(f"{path}/{{key}}", answering(self.show_one)),
            web.post(f"{path}/{{key}}", answering(self.set_one)),
            web.delete(f"{path}/{{key}}", answering(self.delete_one)),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Return all."""
        return web.json_response(self._metadata(self._machine(request)))

    async def show_one(self, request: web.Request) -> web.Response:
        """Return one."""
        metadata = self._metadata(self._machine(request))
        if request.match_info["key"] not in metadata:
            raise NotFound("metadata key not found")
        return web.json_response({"value": metadata[request.match_info["key"]]})

    async def replace(self, request: web.Request) -> web.Response:
        """Set all."""
        return await self._change(request, keep=False)

    async def patch(self, request: web.Request) -> web.Response:
        """Set some; null or "" removes one."""
        return await self._change(request, keep=True)

    async def set_one(self, request: web.Request) -> web.Response:
        """Set one."""
        machine = self._machine(request)
        value = (await body_of(request)).get("value")
        if not isinstance(value, str):
            raise BadRequest("invalid_argument: value is required")
        machine.config["metadata"] = {**self._metadata(machine), request.match_info["key"]: value}
        return web.Response(status=204)

    async def delete_one(self, request: web.Request) -> web.Response:
        """Remove one."""
        machine = self._machine(request)
        rest = {k: v for k, v in self._metadata(machine).items() if k != request.match_info["key"]}
        machine.config["metadata"] = rest
        return web.Response(status=204)

    async def _change(self, request: web.Request, *, keep: bool) -> web.Response:
        machine = self._machine(request)
        body = await body_of(request)
        given = body.get("metadata")
        if not isinstance(given, dict):
            raise BadRequest("invalid_argument: metadata is required")
        version = body.get("machine_version")
        if version and version != machine.instance_id:
            raise PreconditionFailed("failed_precondition: machine version mismatch")
        merged = {**(self._metadata(machine) if keep else {}), **given}
        machine.config["metadata"] = {key: str(value) for key, value in merged.items() if value not in {None, ""}}
        return web.Response(status=204)

    def _machine(self, request: web.Request) -> Machine:
        return self._calls.machine(request, alive=True)[1]

    @staticmethod
    def _metadata(machine: Machine) -> dict[str, str]:
        return dict(machine.config.get("metadata") or {})


def _ttl(value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError as problem:
        raise BadRequest("invalid_argument: ttl") from problem
    if seconds <= 0:
        raise BadRequest("invalid_argument: ttl must be positive")
    return seconds
