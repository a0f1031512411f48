"""Routes of workflows and their runs."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.core.clock import Clock
from sandbox.github import errors, query, wire
from sandbox.github.models import Repository, Run, Workflow
from sandbox.github.runs import Runner
from sandbox.github.state import GitHubState
from sandbox.github.vaults import REPOSITORY, Route, Vaults, body_of

_DISPATCH_FIELDS = {"ref", "inputs"}
# From this version of the API on, a dispatch answers with the run without being asked.
_DETAILS_VERSION = "2026-03-10"


class Workflows:
    """Handlers for workflows, dispatches and runs."""

    def __init__(self, state: GitHubState, clock: Clock, runner: Runner, vaults: Vaults) -> None:
        self._state = state
        self._clock = clock
        self._runner = runner
        self._repository = vaults.repository

    def routes(self) -> list[Route]:
        """Return method, path below the API's root, and handler."""
        actions = f"{REPOSITORY}/actions"
        return [
            ("GET", f"{actions}/workflows", self._list_workflows),
            ("GET", f"{actions}/workflows/{{workflow}}", self._get_workflow),
            ("POST", f"{actions}/workflows/{{workflow}}/dispatches", self._dispatch),
            ("GET", f"{actions}/workflows/{{workflow}}/runs", self._list_runs),
            ("GET", f"{actions}/runs", self._list_runs),
            ("GET", f"{actions}/runs/{{run}}", self._get_run),
            ("GET", f"{actions}/runs/{{run}}/jobs", self._list_jobs),
            ("POST", f"{actions}/runs/{{run}}/cancel", self._cancel),
            ("GET", f"{actions}/runs/{{run}}/pending_deployments", self._pending),
            ("POST", f"{actions}/runs/{{run}}/pending_deployments", self._review),
        ]

    async def _list_workflows(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        shown, headers = query.page(request, repository.workflows)
        listed = [wire.workflow(each, repository, _base(request)) for each in shown]
        return web.json_response({"total_count": len(repository.workflows), "workflows": listed}, headers=headers)

    async def _get_workflow(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        return web.json_response(wire.workflow(_workflow(request, repository), repository, _base(request)))

    async def _dispatch(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        workflow, body = _workflow(request, repository), await body_of(request)
        wanted = body.pop("return_run_details", None)
        if self._state.ghes and wanted is not None:
            raise errors.bad_request('Invalid request.\n\n"return_run_details" is not a permitted key.')
        inputs = _checked(workflow, repository, body)
        run = self._runner.start(repository, workflow, body["ref"].removeprefix("refs/heads/"), inputs)
        version = request.headers.get("X-GitHub-Api-Version", "")
        if not (wanted or (not self._state.ghes and version >= _DETAILS_VERSION)):
            return web.Response(status=204)
        urls = wire.run_urls(run, repository, _base(request))
        return web.json_response({"workflow_run_id": run.id, "run_url": urls["url"], "html_url": urls["html_url"]})

    async def _list_runs(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        runs = repository.runs
        if "workflow" in request.match_info:
            workflow = _workflow(request, repository)
            runs = [run for run in runs if run.workflow_id == workflow.id]
        found = query.matching_runs(runs, request.query, self._clock.time())
        shown, headers = query.page(request, found)
        listed = [wire.run(each, repository, _base(request)) for each in shown]
        return web.json_response({"total_count": len(found), "workflow_runs": listed}, headers=headers)

    async def _get_run(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        return web.json_response(wire.run(_run(request, repository), repository, _base(request)))

    async def _list_jobs(self, request: web.Request) -> web.Response:
        repository = self._repository(request)
        run = _run(request, repository)
        return web.json_response({"total_count": 1, "jobs": [wire.job(run, repository, _base(request))]})

    async def _cancel(self, request: web.Request) -> web.Response:
        if not self._runner.cancel(_run(request, self._repository(request))):
            raise errors.conflict("Cannot cancel a workflow run that is completed.")
        return web.json_response({}, status=202)

    async def _pending(self, request: web.Request) -> web.Response:
        run = _run(request, self._repository(request))
        waiting = [{"environment": {"id": 1, "name": "production"}, "current_user_can_approve": True}]
        return web.json_response(waiting if run.status == "waiting" else [])

    async def _review(self, request: web.Request) -> web.Response:
        run, body = _run(request, self._repository(request)), await body_of(request)
        if body.get("state") not in {"approved", "rejected"}:
            raise errors.unprocessable("state must be approved or rejected")
        if not self._runner.decide(run.id, approved=body["state"] == "approved"):
            raise errors.unprocessable("There are no pending deployment requests to approve or reject")
        return web.json_response([])


def _base(request: web.Request) -> str:
    prefix = "/api/v3" if request.path.startswith("/api/v3/") else ""
    return f"{request.scheme}://{request.host}{prefix}"


def _workflow(request: web.Request, repository: Repository) -> Workflow:
    found = repository.workflow(request.match_info["workflow"])
    if found is None:
        raise errors.not_found()
    return found


def _run(request: web.Request, repository: Repository) -> Run:
    number = request.match_info["run"]
    found = repository.run(int(number)) if number.isdecimal() else None
    if found is None:
        raise errors.not_found()
    return found


def _checked(workflow: Workflow, repository: Repository, body: dict[str, Any]) -> dict[str, str]:
    """Return a dispatch's inputs, or refuse it as GitHub does."""
    ref, inputs = body.get("ref"), body.get("inputs") or {}
    if unknown := sorted(set(body) - _DISPATCH_FIELDS):
        raise errors.unprocessable(f'Invalid request.\n\n"{unknown[0]}" is not a permitted key.')
    if not isinstance(ref, str) or not ref:
        raise errors.unprocessable('Invalid request.\n\n"ref" wasn\'t supplied.')
    if ref.removeprefix("refs/heads/") not in repository.branches:
        raise errors.unprocessable(f"No ref found for: {ref}")
    if not workflow.dispatchable:
        raise errors.unprocessable("Workflow does not have 'workflow_dispatch' trigger")
    if workflow.disabled:
        raise errors.unprocessable("Cannot trigger a 'workflow_dispatch' on a disabled workflow")
    if not isinstance(inputs, dict) or len(inputs) > 25:
        raise errors.unprocessable("inputs must be an object of at most 25 properties")
    if surplus := [name for name in inputs if name not in workflow.inputs]:
        raise errors.unprocessable(f"Unexpected inputs provided: {surplus}".replace("'", '"'))
    for name, required in workflow.inputs.items():
        if required and not inputs.get(name):
            raise errors.unprocessable(f"Required input '{name}' not provided")
    return {name: str(value) for name, value in inputs.items()}
