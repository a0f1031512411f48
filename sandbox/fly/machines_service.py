"""The Machines API's port."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from sandbox.core.service import Service, read_json
from sandbox.fly.calls import TOKENS, Calls
from sandbox.fly.leases import LeaseRoutes, MetadataRoutes
from sandbox.fly.models import new_ulid
from sandbox.fly.routes_apps import AppRoutes
from sandbox.fly.routes_certificates import CertificateRoutes
from sandbox.fly.routes_machines import MachineRoutes
from sandbox.fly.routes_secrets import SecretRoutes
from sandbox.fly.trouble import Trouble


class FlyService(Service):
    """What both Fly ports have in common: the token, the rate limit, the request id."""

    name = "fly"

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls.core)
        self.calls = calls

    def application(self) -> web.Application:
        """Return the application, whose every answer carries a request id."""
        application = super().application()
        application.on_response_prepare.append(_add_request_id)
        return application

    async def authenticate(self, request: web.Request) -> web.StreamResponse | None:
        """Refuse calls without a token that is known, and calls that come too fast."""
        header = request.headers.get("Authorization", "")
        if not header:
            return self.error(401, "no tokens found in header")
        tokens = self.calls.state.tokens_of(header)
        if not tokens:
            return self.error(401, "unauthorized: token is invalid or expired")
        request[TOKENS] = tokens
        if not self._allowed(request):
            return self.error(429, "rate limit exceeded")
        return None

    def _allowed(self, request: web.Request) -> bool:
        resource = request.match_info.route.resource
        action = f"{request.method} {resource.canonical if resource else request.path}"
        subject = request.match_info.get("machine") or request.match_info.get("app") or ""
        if action == "GET /v1/apps/{app}/machines/{machine}":
            return self.calls.limits.allow(action, subject, rate=5.0, burst=10.0)
        if action == "DELETE /v1/apps/{app}":
            return self.calls.limits.allow(action, "", rate=100 / 60, burst=100.0)
        return self.calls.limits.allow(action, subject)


class MachinesService(FlyService):
    """`/v1/…`: apps, addresses, secrets, machines, leases, metadata, tokens; and `/_sandbox/fly/trouble`."""

    def __init__(self, calls: Calls, trouble: Trouble) -> None:
        super().__init__(calls)
        self._trouble = trouble

    async def script_trouble(self, request: web.Request) -> web.Response:
        """Script a known trouble: `{"name": "host_unreachable", "arguments": {"machine_id": "…"}}`."""
        try:
            body = await read_json(request)
            self._trouble.script(str(body.get("name")), dict(body.get("arguments") or {}))
        except (TypeError, ValueError) as problem:
            return self.error(400, str(problem))
        return web.json_response({"ok": True})

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return all routes."""
        yield web.post("/_sandbox/fly/trouble", self.script_trouble)
        for group in (AppRoutes, CertificateRoutes, SecretRoutes, MachineRoutes, LeaseRoutes, MetadataRoutes):
            yield from group(self.calls).routes()


async def _add_request_id(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("fly-request-id", f"{new_ulid()}-ewr")
