"""The port of api.fly.io: logs by REST under /api/v1, and the GraphQL that flyctl still needs."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from sandbox.fly.calls import answering
from sandbox.fly.logs import line_json
from sandbox.fly.machines_service import FlyService


class ApiService(FlyService):
    """`/api/v1/…` and `/graphql`."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return all routes."""
        return [web.get("/api/v1/apps/{app}/logs", answering(self.logs))]

    async def logs(self, request: web.Request) -> web.Response:
        """Return log lines, and where to go on."""
        app = self.calls.app(request)
        token = request.query.get("next_token", "")
        lines = self.calls.logs.page(
            app.name,
            instance=request.query.get("instance", ""),
            region=request.query.get("region", ""),
            after=int(token) if token.isdigit() else 0,
        )
        data = [line_json(line, self.clock) for line in lines]
        following = str(lines[-1].number) if lines else token
        return web.json_response({"data": data, "meta": {"next_token": following}})
