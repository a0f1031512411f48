"""The sandbox's own port: what `python -m sandbox status` asks. Nothing it says is the value of a secret."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp import web

from sandbox import captionacc
from sandbox.better_stack.service import BetterStack
from sandbox.core.core import Core
from sandbox.core.service import Service
from sandbox.fly import Fly
from sandbox.github.service import GitHub


class Status(Service):
    """`/_sandbox/status`."""

    name = "sandbox"

    def __init__(self, core: Core, fly: Fly, github: GitHub, better_stack: BetterStack) -> None:
        super().__init__(core)
        self._fly = fly
        self._github = github
        self._better_stack = better_stack

    def routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.get("/_sandbox/status", self._show)]

    async def report(self) -> dict[str, Any]:
        """Return what there is now in every service."""
        repositories = self._github.state.repositories.values()
        journal = self.core.journal.path
        return {
            "fly": {"apps": [self._app(name) for name in self._fly.state.apps]},
            "github": {
                "secrets": sorted(name for each in repositories for name in each.vault.secrets),
                "runs": self._runs(),
            },
            "betterstack": {"monitors": self._monitors()},
            "orchestrator": {"health": await self.orchestrator_health()},
            "journal": str(journal.resolve()) if journal else None,
        }

    async def orchestrator_health(self) -> Any:
        """Return what the sample orchestrator's health endpoint says, None when it says nothing."""
        url = f"{self._fly.edge.url_of(captionacc.ORCHESTRATOR)}/health"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(url) as answer,
            ):
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def _show(self, _request: web.Request) -> web.Response:
        return web.json_response(await self.report())

    def _runs(self) -> list[dict[str, Any]]:
        return [
            {"id": run.id, "workflow": flow.file, "status": run.status, "conclusion": run.conclusion}
            for repository in self._github.state.repositories.values()
            for run in reversed(repository.runs)
            for flow in repository.workflows
            if flow.id == run.workflow_id
        ]

    def _monitors(self) -> list[dict[str, Any]]:
        return [
            {
                "url": each.attributes["url"],
                "check_frequency": each.attributes["check_frequency"],
                "status": each.status,
            }
            for each in self._better_stack.state.monitors.values()
        ]

    def _app(self, name: str) -> dict[str, Any]:
        app = self._fly.state.apps[name]
        machines = [
            {
                "id": machine.id,
                "state": machine.state,
                "image": machine.config["image"],
                "checks": [{"name": check.name, "status": check.status} for check in machine.checks.values()],
            }
            for machine in app.live_machines
        ]
        names = [{"name": secret.name, "digest": secret.digest} for secret in app.secrets.values()]
        return {"name": name, "machines": machines, "ips": [each.ip for each in app.addresses], "secrets": names}
