"""Apps, their addresses, and the caller's tokens."""

from __future__ import annotations

import re

from aiohttp import web

from sandbox.fly.calls import Calls, answering, body_of, flag
from sandbox.fly.errors import BadRequest, Conflict, Forbidden, NotFound, Unprocessable
from sandbox.fly.regions import regions_json
from sandbox.fly.wire import address_json, app_json, token_json

_NAME = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]|[a-z]")
_ADDRESS_KINDS = frozenset({"v4", "v6", "shared_v4", "private_v6"})
_SINGLE_KINDS = frozenset({"shared_v4"})


class AppRoutes:
    """Routes below /apps that concern the app itself."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        return [
            web.get("/v1/apps", answering(self.list_all)),
            web.post("/v1/apps", answering(self.create)),
            web.get("/v1/apps/{app}", answering(self.show)),
            web.delete("/v1/apps/{app}", answering(self.delete)),
            web.post("/v1/apps/{app}/deploy_token", answering(self.deploy_token)),
            web.get("/v1/apps/{app}/ip_assignments", answering(self.list_addresses)),
            web.post("/v1/apps/{app}/ip_assignments", answering(self.assign_address)),
            web.delete("/v1/apps/{app}/ip_assignments/{ip}", answering(self.release_address)),
            web.get("/v1/apps/{app}/volumes", answering(self.list_volumes)),
            web.get("/v1/tokens/current", answering(self.current_tokens)),
            web.get("/v1/platform/regions", answering(self.regions)),
        ]

    async def list_all(self, request: web.Request) -> web.Response:
        """Return an organization's apps the caller may see."""
        org = request.query.get("org_slug", "")
        if not org:
            raise BadRequest("missing org_slug")
        tokens = self._calls.tokens(request)
        if not any(token.org == org for token in tokens):
            raise Forbidden("unauthorized")
        apps = [
            app_json(app)
            for app in self._calls.state.apps.values()
            if app.org == org and any(token.covers(org, app.name) for token in tokens)
        ]
        return web.json_response({"total_apps": len(apps), "apps": apps})

    async def create(self, request: web.Request) -> web.Response:
        """Make an app; its name is global."""
        body = await body_of(request)
        name, org = body.get("name") or body.get("app_name") or "", body.get("org_slug") or ""
        if not _NAME.fullmatch(name):
            raise Unprocessable("Validation failed: Name may only contain numbers, lowercase letters and dashes")
        if not any(token.org == org and token.apps is None for token in self._calls.tokens(request)):
            raise Forbidden("unauthorized: token cannot create apps in this organization")
        if name in self._calls.state.apps:
            if self._calls.state.options.name_taken_status == 409:
                raise Conflict("app already exists")
            raise Unprocessable("Validation failed: Name has already been taken", code="name_taken")
        app = self._calls.state.add_app(name, org, body.get("network") or "default")
        created = {"id": app.id, "created_at": int(app.created_at * 1000)}
        # flyctl asks to wait and then reads the app's name from the reply; others get no more than is documented.
        return web.json_response({**app_json(app), **created} if flag(request, "wait") else created, status=201)

    async def show(self, request: web.Request) -> web.Response:
        """Return one app."""
        return web.json_response(app_json(self._calls.app(request)))

    async def delete(self, request: web.Request) -> web.Response:
        """Begin to delete an app with all that is in it, machines included, asked by force or not."""
        self._calls.deletions.begin(self._calls.app(request))
        return web.Response(status=202)

    async def deploy_token(self, request: web.Request) -> web.Response:
        """Mint a token for this app alone."""
        app = self._calls.app(request)
        token = self._calls.state.add_token(app.org, [app.name])
        return web.json_response({"token": f"FlyV1 {token.value}"})

    async def list_addresses(self, request: web.Request) -> web.Response:
        """Return an app's addresses."""
        app = self._calls.app(request)
        return web.json_response({"ips": [address_json(address, self._calls.clock) for address in app.addresses]})

    async def assign_address(self, request: web.Request) -> web.Response:
        """Assign an address; asking twice gives two, but for the shared one."""
        app = self._calls.app(request)
        body = await body_of(request)
        kind = body.get("type") or ""
        if kind not in _ADDRESS_KINDS:
            raise BadRequest("invalid ip address type")
        if kind in _SINGLE_KINDS and any(address.kind == kind for address in app.addresses):
            raise Unprocessable("App already has a shared IPv4 address")
        address = self._calls.state.add_address(app, kind)
        self._calls.edge.refresh(app.name)
        return web.json_response(address_json(address, self._calls.clock))

    async def release_address(self, request: web.Request) -> web.Response:
        """Release an address."""
        app = self._calls.app(request)
        wanted = request.match_info["ip"]
        address = next((address for address in app.addresses if address.ip == wanted), None)
        if address is None:
            raise NotFound("ip address not found")
        app.addresses.remove(address)
        self._calls.edge.refresh(app.name)
        return web.Response(status=204)

    async def current_tokens(self, request: web.Request) -> web.Response:
        """Return what the caller's tokens cover."""
        return web.json_response({"tokens": [token_json(token) for token in self._calls.tokens(request)]})

    async def list_volumes(self, request: web.Request) -> web.Response:
        """Return an app's volumes: none."""
        self._calls.app(request)
        return web.json_response([])

    async def regions(self, _request: web.Request) -> web.Response:
        """Return the regions."""
        return web.json_response(regions_json())
