"""A GitHub in memory behind a requests session: workflow runs that move when the fake clock does."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from clients.github import GitHubClient
from clients.transport import Api, Transport, no_progress
from tests.support.scripted_http import FakeClock, answer

REPOSITORY = "captionacc/captionacc"
WORKFLOW = "deploy-orchestrator.yml"


@dataclass
class FakeRun:
    """A run; `steps` are (seconds after creation, status, conclusion), in order."""

    id: int
    created_at: float
    title: str = "Deploy"
    actor: str = "robot"
    branch: str = "main"
    visible_after: float = 0.0
    steps: list[tuple[float, str, str]] = field(
        default_factory=lambda: [(0, "queued", ""), (10, "completed", "success")]
    )

    def body(self, now: float) -> dict[str, Any]:
        """Return the run as it is at `now`."""
        at, status, conclusion = next(step for step in reversed(self.steps) if self.created_at + step[0] <= now)
        return {
            "id": self.id,
            "name": "Deploy",
            "display_title": self.title,
            "event": "workflow_dispatch",
            "status": status,
            "conclusion": conclusion or None,
            "head_branch": self.branch,
            "html_url": f"https://github.test/runs/{self.id}",
            "actor": {"login": self.actor},
            "created_at": _moment(self.created_at),
            "run_started_at": _moment(self.created_at),
            "updated_at": _moment(self.created_at + at),
        }


class FakeGitHub(requests.Session):
    """Answers what `clients.github` asks; `dispatch_as` decides how a dispatch is answered."""

    def __init__(self, clock: FakeClock, *, details: bool = False) -> None:
        super().__init__()
        self.clock, self.details = clock, details
        self.runs: list[FakeRun] = []
        self.dispatched: list[dict[str, Any]] = []
        self.next_steps: list[tuple[float, str, str]] | None = None
        self.title_input = ""
        self.visible_after = 0.0
        self.workflows = [WORKFLOW]
        self.repositories = [REPOSITORY]
        self.lose_the_answer = False
        self.refuse: requests.Response | None = None

    def client(self) -> GitHubClient:
        """Return a client that talks to this fake on its clock."""
        api = Api(base_url="http://127.0.0.1:1", title="GitHub API", request_id_header="X-GitHub-Request-Id")
        return GitHubClient(Transport(api, progress=no_progress, session=self, timing=self.clock.timing()))

    def request(self, method: str, url: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """Route one request."""
        path = urlsplit(url).path
        if path == "/user":
            return answer(200, {"login": "robot"})
        owner, repository, *rest = path.removeprefix("/repos/").split("/")
        if f"{owner}/{repository}" not in self.repositories:
            return answer(404, {"message": "Not Found"}, {"X-GitHub-Request-Id": "R1"})
        if not rest:
            return answer(200, {"id": 1, "full_name": REPOSITORY})
        if rest[:2] == ["actions", "runs"]:
            run = next(run for run in self.runs if run.id == int(rest[2]))
            return answer(200, run.body(self.clock.now))
        return self._of_workflow(method, rest, given)

    def _of_workflow(self, method: str, rest: list[str], given: dict[str, Any]) -> requests.Response:
        if rest == ["actions", "workflows"]:
            listed = [{"id": number, "path": f".github/workflows/{name}"} for number, name in enumerate(self.workflows)]
            return answer(200, {"total_count": len(listed), "workflows": listed})
        if rest[2] not in self.workflows:
            return answer(404, {"message": "Not Found"}, {"X-GitHub-Request-Id": "R1"})
        if method == "GET":
            shown = [run for run in self.runs if run.created_at + run.visible_after <= self.clock.now]
            branch = given["params"]["branch"]
            bodies = [run.body(self.clock.now) for run in shown if run.branch == branch]
            return answer(200, {"total_count": len(bodies), "workflow_runs": bodies})
        return self._dispatch(given["json"])

    def _dispatch(self, body: dict[str, Any]) -> requests.Response:
        if self.refuse is not None:
            refusal, self.refuse = self.refuse, None
            return refusal
        self.dispatched.append(body)
        title = body.get("inputs", {}).get(self.title_input, "")
        run = FakeRun(id=100 + len(self.runs), created_at=self.clock.now, title=f"Deploy {title}".strip())
        run.visible_after = self.visible_after
        if self.next_steps:
            run.steps = self.next_steps
        self.runs.append(run)
        if self.lose_the_answer:
            raise requests.ReadTimeout
        if self.details:
            return answer(200, {"workflow_run_id": run.id, "html_url": f"https://github.test/runs/{run.id}"})
        return answer(204)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
