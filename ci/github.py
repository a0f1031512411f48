"""Comments and issues of this repository, written with the workflow's own token.

The token is GITHUB_WORKFLOW_TOKEN, because GITHUB_TOKEN is, to the program, the token of the orchestrator's repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import urlsplit

from ci.errors import CiError
from clients import shapes
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
        path = f"/issues/{number}/comments"
        for entry in self._pages(path):
            if _by_bot(entry) and str(entry.get("body")).startswith(marked):
                with _reading(path):
                    own = shapes.number(entry)
                return self._write("PATCH", f"/issues/comments/{own}", {"body": text}, f"comment on #{number}")
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
            if entry.get("title") == title and _by_bot(entry) and "pull_request" not in entry:
                with _reading("/issues"):
                    return shapes.number(entry, "number")
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
        what = f'the runs of workflow "{workflow}"'
        path = self._path(f"/actions/workflows/{workflow}/runs")
        found = self._send(Call(method="GET", path=path, params={"per_page": 20}), f"read {what}")
        with _reading(what):
            runs = shapes.listed(shapes.decoded(found.body), "workflow_runs")
        return any(run.get("status") in {"in_progress", "queued", "pending"} for run in runs)

    def _write(self, method: str, path: str, body: object, what: str) -> str:
        reply = self._send(Call(method=method, path=self._path(path), json=body), f"write {what}")
        return str(shapes.record(reply.json()).get("html_url") or "")

    def _pages(self, path: str, params: Mapping[str, str | int] | None = None) -> Iterator[dict[str, Any]]:
        page, size = 1, 100
        while True:
            asked = {**(params or {}), "per_page": size, "page": page}
            reply = self._send(Call(method="GET", path=self._path(path), params=asked), f"read {path}")
            with _reading(path):
                found = shapes.whole_list(shapes.decoded(reply.body))
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
        said = shapes.record(reply.json()).get("message", "no reason given")
        raise CiError(
            f"could not {what}: {said} (HTTP {reply.status}, request id {reply.request_id or 'unknown'}). "
            "Look at the job's permissions in its workflow."
        )


def _by_bot(entry: Mapping[str, Any]) -> bool:
    return shapes.record(entry.get("user")).get("type") == _BOT


@contextmanager
def _reading(what: str) -> Iterator[None]:
    """Turn a reply that GitHub is not known to give, for example a proxy's page, into an error.

    Raises:
        CiError: what the block read was such a reply.
    """
    try:
        yield
    except shapes.ShapeError as wrong:
        raise CiError(
            f"could not read {what}: GitHub did not answer what was asked, {wrong}. Run the job again."
        ) from None
