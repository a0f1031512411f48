"""The port of api.fly.io: logs, organizations and releases by REST under /api/v1, and flyctl's GraphQL."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from sandbox.fly.calls import answering, body_of
from sandbox.fly.errors import Forbidden, NotFound
from sandbox.fly.graphql import NotServedError, answer
from sandbox.fly.graphql_root import Root
from sandbox.fly.logs import line_json
from sandbox.fly.machines_service import FlyService
from sandbox.fly.wire import organization_number


class ApiService(FlyService):
    """`/api/v1/…` and `/graphql`."""

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return all routes."""
        return [
            web.get("/api/v1/apps/{app}/logs", answering(self.logs)),
            web.get("/api/v1/organizations", answering(self.organizations)),
            web.get("/api/v1/organizations/{org}", answering(self.organization)),
            web.get("/api/v1/releases/all_current", answering(self.all_current_releases)),
            web.get("/api/v1/apps/{app}/releases", answering(self.releases)),
            web.get("/api/v1/apps/{app}/releases/current", answering(self.current_release)),
            web.post("/api/v1/releases", answering(self.create_release)),
            web.patch("/api/v1/releases/{release}", answering(self.update_release)),
            web.post("/graphql", answering(self.graphql)),
        ]

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

    async def organizations(self, request: web.Request) -> web.Response:
        """Return the caller's organizations."""
        slugs = sorted({token.org for token in self.calls.tokens(request)})
        return web.json_response({"organizations": [_organization(slug) for slug in slugs]})

    async def organization(self, request: web.Request) -> web.Response:
        """Return one organization."""
        slug = request.match_info["org"]
        if not any(token.org == slug for token in self.calls.tokens(request)):
            raise Forbidden("unauthorized")
        return web.json_response(_organization(slug))

    async def all_current_releases(self, request: web.Request) -> web.Response:
        """Return when each app was last released."""
        tokens = self.calls.tokens(request)
        seen = [app for app in self.calls.state.apps.values() if any(t.covers(app.org, app.name) for t in tokens)]
        return web.json_response({app.name: app.releases[0]["created_at"] for app in seen if app.releases})

    async def releases(self, request: web.Request) -> web.Response:
        """Return an app's releases, newest first."""
        app = self.calls.app(request)
        limit = int(request.query.get("limit") or 25)
        return web.json_response({"releases": [_shown(release) for release in app.releases[:limit]]})

    async def current_release(self, request: web.Request) -> web.Response:
        """Return the newest release."""
        app = self.calls.app(request)
        if not app.releases:
            raise NotFound("no release")
        return web.json_response(_shown(app.releases[0]))

    async def create_release(self, request: web.Request) -> web.Response:
        """Note a release."""
        body = await body_of(request)
        tokens = self.calls.tokens(request)
        app = self.calls.state.app(tokens, str(body.get("app_name")))
        image, strategy = str(body.get("image") or ""), body.get("strategy")
        release = self.calls.state.add_release(
            app, image, body.get("definition"), user=tokens[0].user, strategy=strategy
        )
        return web.json_response({"release": _shown(release)}, status=201)

    async def update_release(self, request: web.Request) -> web.Response:
        """Note how a release went."""
        wanted = request.match_info["release"]
        for app in self.calls.state.apps.values():
            for release in app.releases:
                if release["id"] == wanted:
                    self.calls.state.app(self.calls.tokens(request), app.name)
                    self.calls.state.finish_release(release, str((await body_of(request)).get("status")))
                    return web.json_response(_shown(release))
        raise NotFound("release not found")

    async def graphql(self, request: web.Request) -> web.Response:
        """Answer a query or mutation; what is not known here is a 501 that names it."""
        root = Root(self.calls, self.calls.tokens(request))
        try:
            return web.json_response(await answer(await body_of(request), root.object()))
        except NotServedError as problem:
            return self.error(501, f"the sandbox's fly does not know the GraphQL field {problem.args[0]}")


def _organization(slug: str) -> dict[str, Any]:
    return {
        "id": slug,
        "internal_numeric_id": organization_number(slug),
        "slug": slug,
        "raw_slug": slug,
        "name": slug,
        "personal": False,
        "paid_plan": True,
        "billable": True,
        "billing_status": "CURRENT",
        "provisions_beta_extensions": False,
        "remote_builder_image": "",
    }


def _shown(release: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in release.items() if name != "definition"}
