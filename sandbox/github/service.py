"""The emulated GitHub API: under /api/v3 as an Enterprise Server has it, and unprefixed as api.github.com."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable

from aiohttp import web

from sandbox.core.core import Core
from sandbox.core.service import Service, bearer_token, same_token
from sandbox.github import errors, wire
from sandbox.github.runs import Runner
from sandbox.github.state import GitHubState
from sandbox.github.vaults import NUMBERED, REPOSITORY, Vaults
from sandbox.github.workflows import Workflows

Fill = Callable[[GitHubState], None]

_PREFIXES = ("", "/api/v3")
_HOURLY = 5000


class GitHub(Service):
    """GitHub with one accepted token.

    Args:
        core: clock, journal, store and faults of the sandbox.
        token: the token that may do everything.
        fill: puts the first repositories into an empty state, now and after a reset.
    """

    name = "github"

    def __init__(self, core: Core, token: str, fill: Fill = lambda _: None) -> None:
        super().__init__(core)
        self._token = token
        self._fill = fill
        self.state = GitHubState()
        saved = core.store.section(self.name, self.state.dump)
        if saved:
            self.state.load(saved)
        else:
            fill(self.state)
        self.runner = Runner(self.state, self.clock, core.store.save)

    def application(self) -> web.Application:
        """Return the application; every answer carries the headers that GitHub's clients read."""
        application = super().application()
        application.on_response_prepare.append(_add_headers)
        return application

    async def stop(self) -> None:
        """Drop the runs under way and close the server."""
        await self.runner.stop()
        await super().stop()

    async def reset(self) -> None:
        """Forget everything and fill in the first repositories again."""
        await self.runner.stop()
        self.state.clear()
        self._fill(self.state)
        self.core.store.save()

    async def authenticate(self, request: web.Request) -> web.StreamResponse | None:
        """Refuse every token but the one."""
        if same_token(bearer_token(request, ("bearer", "token")), self._token):
            return None
        given = "Authorization" in request.headers
        return errors.answer(401, "Bad credentials" if given else "Requires authentication")

    def error(self, status: int, text: str) -> web.Response:
        """Return an error in GitHub's form."""
        return errors.answer(status, text)

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return every route twice: with and without the prefix."""
        vaults = Vaults(self.state, self.clock)
        workflows = Workflows(self.state, self.clock, self.runner, vaults)

        async def repository(request: web.Request) -> web.Response:
            base = f"{request.scheme}://{request.host}"
            return web.json_response(wire.repository(vaults.repository(request), base))

        async def branch(request: web.Request) -> web.Response:
            name = request.match_info["branch"]
            sha = vaults.repository(request).branches.get(name)
            if sha is None:
                raise errors.not_found()
            return web.json_response({"name": name, "commit": {"sha": sha}, "protected": False})

        found = [
            *vaults.routes(),
            *workflows.routes(),
            ("GET", REPOSITORY, repository),
            ("GET", f"{REPOSITORY}/branches/{{branch}}", branch),
            ("GET", "/user", self._user),
            ("GET", "/users/{login}", self._organisation),
            ("GET", "/orgs/{login}", self._organisation),
            ("GET", "/rate_limit", self._rate_limit),
        ]
        found += [(method, path.replace(REPOSITORY, NUMBERED), do) for method, path, do in found if REPOSITORY in path]
        yield from (web.route(method, prefix + path, do) for prefix in _PREFIXES for method, path, do in found)
        yield web.post("/_sandbox/github/script", self._script)
        yield web.post("/_sandbox/github/approve/{run}", self._approve)
        yield web.post("/_sandbox/github/move", self._move)

    async def _user(self, _request: web.Request) -> web.Response:
        return web.json_response({"login": wire.LOGIN, "id": 1, "type": "User"})

    async def _organisation(self, request: web.Request) -> web.Response:
        login = self.state.organisation(request.match_info["login"])
        if login is None:
            raise errors.not_found()
        return web.json_response(wire.organisation(login, self.state.organisations[login]))

    async def _rate_limit(self, _request: web.Request) -> web.Response:
        core = {"limit": _HOURLY, "remaining": _HOURLY, "reset": int(self.clock.time()) + 3600, "used": 0}
        return web.json_response({"resources": {"core": core}, "rate": core})

    async def _script(self, request: web.Request) -> web.Response:
        """Script coming runs: a JSON object of `Script`'s fields, and `ghes`."""
        try:
            settings = await request.json()
            if "ghes" in settings:
                self.state.ghes = bool(settings.pop("ghes"))
            if settings:
                self.state.script(**settings)
        except (json.JSONDecodeError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def _move(self, request: web.Request) -> web.Response:
        """Rename or transfer a repository: `{"repository": "owner/name", "to": "owner/other"}`."""
        try:
            body = await request.json()
            moved = self.state.move(body["repository"], body["to"])
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        self.core.store.save()
        return web.json_response({"id": moved.id, "full_name": moved.full_name})

    async def _approve(self, request: web.Request) -> web.Response:
        approved = request.query.get("approved", "true") == "true"
        done = self.runner.decide(int(request.match_info["run"]), approved=approved)
        return web.json_response({"ok": done}, status=200 if done else 409)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    if request.path.startswith("/_sandbox/"):
        return
    response.headers.setdefault("X-GitHub-Request-Id", secrets.token_hex(8).upper())
    response.headers.setdefault("X-RateLimit-Limit", str(_HOURLY))
    response.headers.setdefault("X-RateLimit-Remaining", str(_HOURLY - 1))
