"""The GitHub REST calls of this project: facts about a repository, workflow dispatch and runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

from clients.endpoints import GITHUB, World, base_url
from clients.github.errors import (
    SCOPES_ADVICE,
    GitHubRefusedError,
    GitHubTransientError,
    GitHubUnauthorizedError,
    GitHubUnclearError,
    describe,
    from_reply,
    from_silence,
    is_rate_limit,
)
from clients.github.models import Dispatched, Repository, Run, Workflow
from clients.transport import Api, Call, NoAnswerError, Progress, Reply, Transport, print_progress

# Without the header GitHub means the same version; naming it keeps a change of that default away from us.
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "prefect-fly"}


class GitHubClient:
    """Calls of one token. `repository` arguments are "owner/name"; `workflow` is the file name or numeric id."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    def from_environment(
        cls, world: World, environ: Mapping[str, str] = os.environ, progress: Progress = print_progress
    ) -> Self:
        """Build a client from GITHUB_TOKEN and GITHUB_API_URL.

        Raises:
            GitHubUnauthorizedError: GITHUB_TOKEN is not set.
            WrongWorldError: the address does not belong to `world`.
        """
        address = base_url(GITHUB, world, environ)
        token = environ.get("GITHUB_TOKEN", "").strip()
        if not token:
            raise GitHubUnauthorizedError(
                f'could not use GitHub API "{address}": GITHUB_TOKEN is not set. {SCOPES_ADVICE}'
            )
        return cls(
            Transport(
                Api(
                    base_url=address,
                    title="GitHub API",
                    headers={**_HEADERS, "Authorization": f"Bearer {token}"},
                    request_id_header="X-GitHub-Request-Id",
                    is_transient=is_rate_limit,
                ),
                progress=progress,
            )
        )

    def login(self) -> str:
        """Return the login that the token acts as; empty for an app's token, which GitHub refuses to tell.

        Raises:
            GitHubError: any other refusal.
        """
        reply = self._get("/user", 'could not read account "user of GITHUB_TOKEN"', tolerate=(403, 404))
        return str(reply.json().get("login") or "") if reply.ok else ""

    def repository(self, repository: str) -> Repository:
        """Return what the token sees of `repository`.

        Raises:
            GitHubNotFoundError: there is none, or the token may not see it.
            GitHubError: any other refusal.
        """
        return Repository.of(_object(self._get(_repo(repository), f'could not read repository "{repository}"')))

    def workflow(self, repository: str, workflow: str) -> Workflow:
        """Return `workflow` of `repository`.

        Raises:
            GitHubNotFoundError: no such workflow on the default branch, or no such repository for this token.
            GitHubError: any other refusal.
        """
        path = f"{_repo(repository)}/actions/workflows/{quote(workflow, safe='')}"
        return Workflow.of(_object(self._get(path, f'could not read workflow "{workflow}" of {repository}')))

    def workflow_files(self, repository: str) -> tuple[str, ...]:
        """Return the file names of the workflows of `repository`, in order.

        Raises:
            GitHubNotFoundError: no such repository for this token.
            GitHubError: any other refusal.
        """
        what = f'could not list workflows of repository "{repository}"'
        reply = self._get(f"{_repo(repository)}/actions/workflows", what, {"per_page": 100})
        listed = [Workflow.of(entry) for entry in _object(reply).get("workflows", [])]
        return tuple(sorted(workflow.path.rpartition("/")[2] for workflow in listed))

    def secret_names(self, repository: str) -> tuple[str, ...]:
        """Return the names of the repository's Actions secrets; it proves the permission Secrets (read).

        Raises:
            GitHubError: it may not be read.
        """
        path = f"{_repo(repository)}/actions/secrets"
        reply = self._get(path, f'could not list Actions secrets of repository "{repository}"', {"per_page": 100})
        return tuple(str(entry["name"]) for entry in _object(reply).get("secrets", []))

    def dispatch(
        self, repository: str, workflow: str, ref: str, inputs: Mapping[str, str] | None = None
    ) -> Dispatched | None:
        """Start `workflow` on `ref`; return its run where the host tells it, else None (find it with `runs`).

        Never sent twice unless GitHub refused it or cannot have seen it.

        Raises:
            GitHubUnclearError: it may have been accepted; look for its run first.
            GitHubNotFoundError: no such workflow or repository.
            GitHubRefusedError: no such ref, no workflow_dispatch trigger, wrong inputs.
            GitHubError: any other refusal.
        """
        path = f"{_repo(repository)}/actions/workflows/{quote(workflow, safe='')}/dispatches"
        body: dict[str, object] = {"ref": ref}
        if inputs:
            body["inputs"] = dict(inputs)
        what = f'could not dispatch workflow "{workflow}" of {repository} on {ref}'
        reply = self._post_dispatch(path, {**body, "return_run_details": True}, what)
        if reply.status in {400, 422}:
            # GitHub Enterprise Server up to 3.20 refuses the field it does not know (cli/cli#12672); a refusal that
            # has another reason is simply refused again.
            reply = self._post_dispatch(path, body, what)
        if reply.status >= 500 or reply.status == 408:
            raise GitHubUnclearError(
                f"{what}: {describe(reply)}. It may have been accepted all the same: run it again, it looks for the "
                "run first.",
                status=reply.status,
                request_id=reply.request_id,
            )
        if not reply.ok:
            raise from_reply(reply, what)
        details = reply.json()
        if isinstance(details, dict) and details.get("workflow_run_id"):
            return Dispatched(run_id=int(details["workflow_run_id"]), url=str(details.get("html_url") or ""))
        return None

    def runs(self, repository: str, workflow: str, *, branch: str, created_since: float) -> tuple[Run, ...]:
        """Return the dispatched runs of `workflow` on `branch`, newest first, at most 100.

        Args:
            repository: "owner/name".
            workflow: file name or id.
            branch: the ref they were dispatched on.
            created_since: unix seconds by GitHub's clock.

        Raises:
            GitHubNotFoundError: no such workflow or repository.
            GitHubError: any other refusal.
        """
        since = datetime.fromtimestamp(created_since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        reply = self._get(
            f"{_repo(repository)}/actions/workflows/{quote(workflow, safe='')}/runs",
            f'could not list runs of workflow "{workflow}" of {repository}',
            {"event": "workflow_dispatch", "branch": branch, "created": f">={since}", "per_page": 100},
        )
        found = [Run.of(entry) for entry in _object(reply).get("workflow_runs", [])]
        return tuple(sorted(found, key=lambda run: run.id, reverse=True))

    def run(self, repository: str, run_id: int) -> Run:
        """Return one run.

        Raises:
            GitHubError: it cannot be read.
        """
        path = f"{_repo(repository)}/actions/runs/{run_id}"
        return Run.of(_object(self._get(path, f'could not read workflow run "{run_id}" of {repository}')))

    def _get(
        self, path: str, what: str, params: Mapping[str, str | int] | None = None, tolerate: tuple[int, ...] = ()
    ) -> Reply:
        try:
            reply = self._transport.send(Call(method="GET", path=path, params=params or {}))
        except NoAnswerError as silence:
            raise from_silence(silence, what) from silence
        if not reply.ok and (reply.status not in tolerate or is_rate_limit(reply)):
            raise from_reply(reply, what)
        return reply

    def _post_dispatch(self, path: str, body: Mapping[str, object], what: str) -> Reply:
        try:
            return self._transport.send(Call(method="POST", path=path, json=body, read_timeout=30))
        except NoAnswerError as silence:
            if not silence.maybe_sent:
                raise from_silence(silence, what) from silence
            raise GitHubUnclearError(
                f"{what}: {silence}. It may have been accepted all the same: run it again, it looks for the run first."
            ) from silence


def _repo(repository: str) -> str:
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name:
        raise GitHubRefusedError(
            f'could not use repository "{repository}": it is not owner/name. Correct github.repository.'
        )
    return f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"


def _object(reply: Reply) -> dict[str, Any]:
    body = reply.json()
    if not isinstance(body, dict):
        raise GitHubTransientError(
            f'could not read GitHub API "{reply.status} reply": it is no JSON object '
            f"(HTTP {reply.status}, request id {reply.request_id}). Check what answers at GITHUB_API_URL.",
            status=reply.status,
            request_id=reply.request_id,
        )
    return body
