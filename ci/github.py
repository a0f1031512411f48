"""Comments and issues of this repository, written with the workflow's own token.

The token is GITHUB_WORKFLOW_TOKEN, because GITHUB_TOKEN is, to the program, the token of the orchestrator's repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from ci.errors import CiError
from clients.silence import NoAnswerError
from clients.transport import Api, Call, Reply, Transport

TOKEN = "GITHUB_WORKFLOW_TOKEN"  # noqa: S105 - a variable's name
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "prefect-fly"}
# Whose comments the workflow's token writes.
_BOT = "Bot"


class Repository:
    """The repository that the workflow runs in."""

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self.name = name

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Build from what GitHub sets for each step, and the token.

        Raises:
            CiError: one of them is not set.
        """
        missing = [name for name in ("GITHUB_REPOSITORY", TOKEN) if not environ.get(name)]
        if missing:
            raise CiError(f"could not write to GitHub: {', '.join(missing)} not set. Run this as a workflow's step.")
        api = Api(
            base_url=environ.get("GITHUB_API_URL") or "https://api.github.com",
            title="GitHub API",
            headers={**_HEADERS, "Authorization": f"Bearer {environ[TOKEN]}"},
            request_id_header="X-GitHub-Request-Id",
        )
        return cls(Transport(api), environ["GITHUB_REPOSITORY"])

    def put_comment(self, number: int, text: str, *, marked: str) -> str:
        """Write a comment, or over the bot's own that begins with `marked`; return its address.

        Raises:
            CiError: GitHub refused.
        """
        comments = self._pages(f"/issues/{number}/comments")
        own = [entry["id"] for entry in comments if entry["user"]["type"] == _BOT and entry["body"].startswith(marked)]
        if own:
            return self._write("PATCH", f"/issues/comments/{own[0]}", {"body": text}, f"comment on #{number}")
        return self.comment(number, text)

    def comment(self, number: int, text: str) -> str:
        """Add a comment to an issue; return its address.

        Raises:
            CiError: GitHub refused.
        """
        return self._write("POST", f"/issues/{number}/comments", {"body": text}, f"comment on #{number}")

    def open_issue(self, title: str) -> int | None:
        """Return the number of the bot's open issue of exactly that title.

        Raises:
            CiError: GitHub refused.
        """
        for entry in self._pages("/issues", {"state": "open"}):
            if entry["title"] == title and entry["user"]["type"] == _BOT and "pull_request" not in entry:
                return int(entry["number"])
        return None

    def new_issue(self, title: str, text: str) -> str:
        """Open an issue; return its address.

        Raises:
            CiError: GitHub refused.
        """
        return self._write("POST", "/issues", {"title": title, "body": text}, f'issue "{title}"')

    def close_issue(self, number: int) -> None:
        """Close an issue.

        Raises:
            CiError: GitHub refused.
        """
        self._write("PATCH", f"/issues/{number}", {"state": "closed"}, f"issue #{number}")

    def busy(self, workflow: str) -> bool:
        """Tell whether a run of a workflow is under way or waits.

        Raises:
            CiError: GitHub refused.
        """
        found = self._send(
            Call(method="GET", path=self._path(f"/actions/workflows/{workflow}/runs"), params={"per_page": 20}),
            f'read the runs of workflow "{workflow}"',
        )
        runs = (found.json() or {}).get("workflow_runs", [])
        return any(run["status"] in {"in_progress", "queued", "pending"} for run in runs)

    def _write(self, method: str, path: str, body: object, what: str) -> str:
        reply = self._send(Call(method=method, path=self._path(path), json=body), f"write {what}")
        return str((reply.json() or {}).get("html_url") or "")

    def _pages(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[dict[str, Any]]:
        page, size = 1, 100
        while True:
            asked = {**(params or {}), "per_page": size, "page": page}
            found = self._send(Call(method="GET", path=self._path(path), params=asked), f"read {path}").json() or []
            yield from found
            if len(found) < size:
                return
            page += 1

    def _path(self, path: str) -> str:
        return f"/repos/{self.name}{path}"

    def _send(self, call: Call, what: str) -> Reply:
        host = urlsplit(self._transport.api.base_url).hostname
        try:
            reply = self._transport.send(call)
        except NoAnswerError as silence:
            raise CiError(f"could not {what}: {host} gave no answer ({silence}). Run the job again.") from silence
        if reply.ok:
            return reply
        said = (reply.json() or {}).get("message", "no reason given")
        raise CiError(
            f"could not {what}: {said} (HTTP {reply.status}, request id {reply.request_id or 'unknown'}). "
            "Look at the job's permissions in its workflow."
        )
