"""App secrets: names and digests out, values only in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sandbox.fly.calls import Calls, answering, body_of
from sandbox.fly.errors import BadRequest, NotFound, PreconditionFailed
from sandbox.fly.models import App, Secret
from sandbox.fly.wire import secret_json

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class SecretRoutes:
    """Routes below /apps/{app}/secrets."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        return [
            web.get("/v1/apps/{app}/secrets", answering(self.list_all)),
            web.post("/v1/apps/{app}/secrets", answering(self.update)),
            web.get("/v1/apps/{app}/secrets/{name}", answering(self.show)),
            web.post("/v1/apps/{app}/secrets/{name}", answering(self.set_one)),
            web.delete("/v1/apps/{app}/secrets/{name}", answering(self.delete_one)),
        ]

    async def list_all(self, request: web.Request) -> web.Response:
        """Return names and digests; `show_secrets` is refused, as it is to ordinary tokens."""
        visible = self._visible(self._calls.app(request), request)
        return web.json_response({"secrets": self._all(visible)})

    async def show(self, request: web.Request) -> web.Response:
        """Return one name and digest."""
        visible = self._visible(self._calls.app(request), request)
        return web.json_response(self._one(visible, request.match_info["name"]))

    async def update(self, request: web.Request) -> web.Response:
        """Set and, for null, remove many at once; removing what is not there is no error."""
        app = self._calls.app(request)
        values = (await body_of(request)).get("values")
        if not isinstance(values, dict):
            raise BadRequest("invalid_argument: values is required")
        for name, value in values.items():
            _require_name(name)
            if value is not None and not isinstance(value, str):
                raise BadRequest(f"invalid_argument: the value of {name} is no string")
        version = self._calls.state.set_secrets(app, values)
        return web.json_response({"secrets": self._all(app.secrets), "version": version, "Version": version})

    async def set_one(self, request: web.Request) -> web.Response:
        """Set one."""
        app, name = self._calls.app(request), request.match_info["name"]
        value = (await body_of(request)).get("value")
        _require_name(name)
        if not isinstance(value, str):
            raise BadRequest("invalid_argument: value is required")
        version = self._calls.state.set_secrets(app, {name: value})
        return web.json_response({**self._one(app.secrets, name), "version": version, "Version": version}, status=201)

    async def delete_one(self, request: web.Request) -> web.Response:
        """Remove one."""
        app, name = self._calls.app(request), request.match_info["name"]
        self._one(app.secrets, name)
        version = self._calls.state.set_secrets(app, {name: None})
        return web.json_response({"version": version, "Version": version})

    def _all(self, secrets: Mapping[str, Secret]) -> list[dict[str, Any]]:
        return [secret_json(secrets[name], self._calls.clock) for name in sorted(secrets)]

    def _one(self, secrets: Mapping[str, Secret], name: str) -> dict[str, Any]:
        if name not in secrets:
            raise NotFound("secret not found")
        return secret_json(secrets[name], self._calls.clock)

    def _visible(self, app: App, request: web.Request) -> Mapping[str, Secret]:
        """Return the secrets as a reader sees them: what was just written only when its version is asked for."""
        wanted = request.query.get("min_version") or request.query.get("version") or "0"
        if not wanted.isdigit():
            raise BadRequest("invalid_argument: min_version")
        if int(wanted) > app.secrets_version:
            raise PreconditionFailed(f"secrets version {wanted} is not available yet")
        return self._calls.state.visible_secrets(app, int(wanted)).secrets


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise BadRequest(f'invalid_argument: "{name}" is no name of a secret')
