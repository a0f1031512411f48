"""The GitHub REST calls of this project: facts about a repository, workflow dispatch and runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote

from clients.endpoints import GITHUB
from clients.github.errors import (
    DIALECT,
    GitHubNotFoundError,
    GitHubRefusedError,
    GitHubUnauthorizedError,
    GitHubUnclearError,
    GitHubUnreachableError,
    error_of,
    is_rate_limit,
)
from clients.github.models import Dispatched, Repository, Run, Workflow
from clients.shapes import identity, listed, record, whole, whole_object
from clients.transport import Api, Call, Reply
from clients.wire import Access, ApiClient

# Without the header GitHub means the same version; naming it keeps a change of that default away from us.
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "prefect-fly"}


T = TypeVar("T")


class GitHubClient(ApiClient):
    """Calls of one token. `repository` arguments are "owner/name"; `workflow` is the file name or numeric id."""

    service = GITHUB
    dialect = DIALECT
    unauthorized = GitHubUnauthorizedError

    @staticmethod
    def api(given: Access) -> Api:
        """Return what is particular to GitHub."""
        return Api(
            base_url=given.address,
            title=GITHUB.title,
            headers={**_HEADERS, "Authorization": f"Bearer {given.token}"},
            request_id_header="X-GitHub-Request-Id",
            is_transient=is_rate_limit,
            speaks_json=True,
        )

    def login(self) -> str:
        """Return the login that the token acts as; empty for an app's token, which GitHub refuses to tell.

        Raises:
            GitHubError: any other refusal.
        """
        doing = 'read account "user of GITHUB_TOKEN"'
        reply = self._wire.send(doing, Call(method="GET", path="/user"), tolerate=(403, 404))
        if is_rate_limit(reply):
            raise error_of(doing, reply)
        return str(record(reply.json()).get("login") or "") if reply.ok else ""

    def repository(self, repository: str) -> Repository:
        """Return what the token sees of `repository`.

        Raises:
            GitHubNotFoundError: there is none, or the token may not see it.
            GitHubError: any other refusal.
        """
        return self._get(_repo(repository), f'read repository "{repository}"', Repository.of)

    def workflow(self, repository: str, workflow: str) -> Workflow:
        """Return `workflow` of `repository`.

        Raises:
            GitHubNotFoundError: no such workflow on the default branch, or no such repository for this token.
            GitHubError: any other refusal.
        """
        path = f"{_repo(repository)}/actions/workflows/{quote(workflow, safe='')}"
        return self._get(path, f'read workflow "{workflow}" of {repository}', Workflow.of)

    def workflow_files(self, repository: str) -> tuple[str, ...]:
        """Return the file names of the workflows of `repository`, in order.

        Raises:
            GitHubNotFoundError: no such repository for this token.
            GitHubError: any other refusal.
        """
        what = f'list workflows of repository "{repository}"'
        found = self._get(f"{_repo(repository)}/actions/workflows", what, _workflows, {"per_page": 100})
        return tuple(sorted(workflow.path.rpartition("/")[2] for workflow in found))

    def secret_names(self, repository: str) -> tuple[str, ...]:
        """Return the names of the repository's Actions secrets; it proves the permission Secrets (read).

        Raises:
            GitHubError: it may not be read.
        """
        path = f"{_repo(repository)}/actions/secrets"
        return self._get(path, f'list Actions secrets of repository "{repository}"', _names, {"per_page": 100})

    def require_environment(self, repository: str, environment: str) -> None:
        """Fail unless `repository` has `environment`; GitHub makes none when a secret is written to it.

        Raises:
            GitHubNotFoundError: there is none, or the token may not see it.
            GitHubError: any other refusal.
        """
        path = f"{_repo(repository)}/environments/{quote(environment, safe='')}"
        try:
            self._get(path, f'find environment "{environment}" of repository "{repository}"', whole_object)
        except GitHubNotFoundError as missing:
            raise GitHubNotFoundError(
                missing.doing,
                "there is none, or the token may not see it",
                status=missing.status,
                request_id=missing.request_id,
                advice=f"Make it (Settings > Environments of {repository}) or correct github.environment; the token "
                "needs the permission Environments (read and write) as well.",
            ) from missing

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
        what = f'dispatch workflow "{workflow}" of {repository} on {ref}'
        reply = self._post_dispatch(path, {**body, "return_run_details": True}, what)
        if reply.status in {400, 422}:
            # GitHub Enterprise Server up to 3.20 refuses the field it does not know (cli/cli#12672); a refusal that
            # has another reason is simply refused again.
            reply = self._post_dispatch(path, body, what)
        if reply.status >= 500 or reply.status == 408:
            known = error_of(what, reply)
            raise GitHubUnclearError(what, known.said, status=known.status, request_id=known.request_id)
        if not reply.ok:
            raise error_of(what, reply)
        details = record(reply.json())
        run_id = whole(details.get("workflow_run_id"))
        return Dispatched(run_id=run_id, url=str(details.get("html_url") or "")) if run_id else None

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
        found = self._get(
            f"{_repo(repository)}/actions/workflows/{quote(workflow, safe='')}/runs",
            f'list runs of workflow "{workflow}" of {repository}',
            _runs,
            {"event": "workflow_dispatch", "branch": branch, "created": f">={since}", "per_page": 100},
        )
        return tuple(sorted(found, key=lambda run: run.id, reverse=True))

    def run(self, repository: str, run_id: int) -> Run:
        """Return one run.

        Raises:
            GitHubError: it cannot be read.
        """
        path = f"{_repo(repository)}/actions/runs/{run_id}"
        return self._get(path, f'read workflow run "{run_id}" of {repository}', Run.of)

    def _get(
        self, path: str, doing: str, reader: Callable[[object], T], params: Mapping[str, str | int] | None = None
    ) -> T:
        return self._wire.read(doing, Call(method="GET", path=path, params=params or {}), reader)

    def _post_dispatch(self, path: str, body: Mapping[str, object], doing: str) -> Reply:
        call = Call(method="POST", path=path, json=body, read_timeout=30)
        try:
            return self._wire.send(doing, call, tolerate=range(400, 600))
        except GitHubUnreachableError as silence:
            if not silence.maybe_sent:
                raise
            raise GitHubUnclearError(doing, silence.said) from silence


def _repo(repository: str) -> str:
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name:
        raise GitHubRefusedError(
            f'use repository "{repository}"', "it is not owner/name", advice="Correct github.repository."
        )
    return f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"


def _workflows(body: object) -> list[Workflow]:
    return [Workflow.of(entry) for entry in listed(body, "workflows")]


def _runs(body: object) -> list[Run]:
    return [Run.of(entry) for entry in listed(body, "workflow_runs")]


def _names(body: object) -> tuple[str, ...]:
    return tuple(identity(entry, "name") for entry in listed(body, "secrets"))
