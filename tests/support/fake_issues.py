"""Issues, comments and workflow runs of one repository in memory, behind a requests session, as GitHub's REST API."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from ci.github import Repository
from clients.transport import Api, Transport, no_progress
from tests.support.scripted_http import FakeClock, answer

NAME = "captionacc/prefect-fly"


class FakeIssues(requests.Session):
    """Answers what `ci.github` asks; a body of more than 65,536 characters is refused, as GitHub does."""

    def __init__(self) -> None:
        super().__init__()
        self.issues: list[dict[str, Any]] = []
        self.comments: list[dict[str, Any]] = []
        self.runs: list[str] = []
        self.refuse: requests.Response | None = None

    def repository(self) -> Repository:
        """Return the repository as our steps see it."""
        api = Api(base_url="http://127.0.0.1:1", title="GitHub API", request_id_header="X-GitHub-Request-Id")
        return Repository(Transport(api, progress=no_progress, session=self, timing=FakeClock().timing()), NAME)

    def say(self, number: int, text: str, *, by: str = "Bot") -> None:
        """Comment on an issue or pull request."""
        self.comments.append({"id": len(self.comments) + 1, "issue": number, "body": text, "user": {"type": by}})

    def request(self, method: str, url: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """Route one request."""
        if self.refuse is not None:
            return self.refuse
        parts = urlsplit(url).path.removeprefix(f"/repos/{NAME}/").split("/")
        body = given.get("json") or {}
        if len(body.get("body", "")) > 65_536:
            return answer(422, {"message": "Validation Failed"})
        status, found = self._route(method, parts, body)
        return self._page(found, given) if isinstance(found, list) else answer(status, found)

    def _route(self, method: str, parts: list[str], body: dict[str, Any]) -> tuple[int, Any]:
        found: tuple[int, Any] = (501, {"message": f"{method} {parts}"})
        match method, parts:
            case "GET", ["actions", "workflows", _, "runs"]:
                found = (200, {"workflow_runs": [{"status": status} for status in self.runs]})
            case "GET", ["issues"]:
                found = (200, [issue for issue in self.issues if issue["state"] == "open"])
            case "POST", ["issues"]:
                self.issues.append({"number": len(self.issues) + 1, "state": "open", "user": {"type": "Bot"}, **body})
                found = (201, self.issues[-1])
            case "PATCH", ["issues", "comments", number]:
                self.comments[int(number) - 1] |= body
                found = (200, self.comments[int(number) - 1])
            case "PATCH", ["issues", number]:
                self.issues[int(number) - 1] |= body
                found = (200, self.issues[int(number) - 1])
            case "GET", ["issues", number, "comments"]:
                found = (200, [each for each in self.comments if each["issue"] == int(number)])
            case "POST", ["issues", number, "comments"]:
                self.say(int(number), body["body"])
                found = (201, self.comments[-1])
        return found

    def _page(self, entries: list[dict[str, Any]], given: dict[str, Any]) -> requests.Response:
        first = (given["params"]["page"] - 1) * given["params"]["per_page"]
        return answer(200, entries[first : first + given["params"]["per_page"]])
