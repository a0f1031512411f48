"""Redeploying through a GitHub workflow: attach to our run if there is one, else dispatch; then wait for its end.

Nothing is stored between two runs of a verb. What was started before is found again by its nonce where the workflow
shows one (an input of the form `{nonce}` that its run-name prints), else by who dispatched it, where and when. Two runs
of ours are never in flight at once: a dispatch whose answer was lost is looked for, never repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clients.github import GitHubClient, Run
from clients.github.errors import (
    GitHubError,
    GitHubNotFoundError,
    GitHubRateLimitedError,
    GitHubTransientError,
    GitHubUnclearError,
)
from clients.names import NONCE
from ops.errors import OpsError
from ops.runtime import Runtime

_NONCE_PREFIX = "prefect-fly-"
# A run that waits for an approval may be hours old when the verb is run again; older ones are somebody's leftovers.
_RECENT_SECONDS = 24 * 3600.0
# Runs show up some seconds after their dispatch.
_APPEAR_SECONDS = 90.0
# Its machines are not being touched yet: whatever it deploys, it deploys with the secrets of the moment it starts.
_NOT_BEGUN = frozenset({"queued", "requested", "waiting", "pending"})


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """Which workflow deploys the orchestrator.

    Attributes:
        repository: "owner/name".
        file: name of the file below .github/workflows, or the workflow's id.
        ref: branch or tag.
        inputs: a value may hold {nonce}, which becomes different for every dispatch.
    """

    repository: str
    file: str
    ref: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f'workflow "{self.file}" of {self.repository} on {self.ref}'

    @property
    def branch(self) -> str:
        """Return the ref as runs name it."""
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")

    @property
    def shows_nonce(self) -> bool:
        """Tell whether an input takes the nonce."""
        return any(NONCE in value for value in self.inputs.values())

    @property
    def mark(self) -> str:
        """Return the part of the nonce that is the same for every dispatch of this very workflow and inputs."""
        text = repr((self.repository, self.file, self.ref, sorted(self.inputs.items())))
        return f"{_NONCE_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def with_nonce(self, nonce: str) -> dict[str, str]:
        """Return the inputs to send."""
        return {name: value.replace(NONCE, nonce) for name, value in self.inputs.items()}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A redeploy that succeeded; `attached` tells that an earlier run of the verb had started it."""

    run: Run
    attached: bool


class WorkflowRedeploy:
    """One workflow, followed from dispatch to conclusion."""

    def __init__(self, github: GitHubClient, workflow: Workflow, rt: Runtime) -> None:
        self._github, self._workflow, self._rt = github, workflow, rt
        self._login: str | None = None

    def run(self, timeout: float, *, secrets_written_at: float = 0.0) -> Finished:
        """Redeploy and return the run that succeeded.

        Args:
            timeout: seconds.
            secrets_written_at: unix seconds; a run of ours that began before cannot have deployed what was written
                then, so it is waited for and another one follows.

        Raises:
            OpsError: it could not be started, did not end in time, or did not end well; the text has its URL.
            GitHubError: GitHub refused.
        """
        deadline = self._rt.clock() + timeout
        running = self._look_twice()
        if running and running.status not in _NOT_BEGUN and running.started_at < secrets_written_at:
            self._rt.progress.say(f"a run of ours began before the secrets were written; waiting for it: {running.url}")
            self._follow(running, deadline)
            running = self.in_flight()
        if running:
            self._rt.progress.say(f"following the run that was started before: {running.url}")
        started = running or self._dispatch()
        return Finished(run=_successful(self._follow(started, deadline), self._workflow), attached=running is not None)

    def _look_twice(self) -> Run | None:
        """Look for a run of ours twice, a pause apart: one that was dispatched just now may not be listed yet."""
        found = self.in_flight()
        if found:
            return found
        self._rt.sleep(self._rt.lag)
        return self.in_flight()

    def in_flight(self) -> Run | None:
        """Return our newest run that has no conclusion yet, None when there is none.

        Raises:
            OpsError: there is no such workflow, or the repository is not visible.
            GitHubError: the runs cannot be listed.
        """
        return next((run for run in self._ours(self._recent()) if not run.finished), None)

    def _recent(self) -> tuple[Run, ...]:
        workflow = self._workflow
        since = self._rt.clock() - _RECENT_SECONDS
        try:
            return self._github.runs(workflow.repository, workflow.file, branch=workflow.branch, created_since=since)
        except GitHubNotFoundError as missing:
            raise self._explain(missing) from missing

    def _ours(self, runs: Sequence[Run]) -> list[Run]:
        if self._workflow.shows_nonce and any(_NONCE_PREFIX in run.title for run in runs):
            return [run for run in runs if self._workflow.mark in run.title]
        login = self._own_login()
        return [run for run in runs if not login or not run.actor or run.actor == login]

    def _own_login(self) -> str:
        if self._login is None:
            self._login = self._github.login()
        return self._login

    def _dispatch(self) -> Run:
        workflow, progress = self._workflow, self._rt.progress
        known = max((run.id for run in self._recent()), default=0)
        nonce = f"{workflow.mark}-{int(self._rt.clock())}"
        progress.say(f"dispatching {workflow}")
        try:
            details = self._github.dispatch(
                workflow.repository, workflow.file, workflow.ref, workflow.with_nonce(nonce)
            )
        except GitHubNotFoundError as missing:
            raise self._explain(missing) from missing
        except GitHubUnclearError as unclear:
            progress.say("GitHub did not confirm the dispatch; looking for its run before anything else")
            return self._appeared(known, nonce, str(unclear))
        lost = (
            f"could not follow {workflow}: GitHub accepted the dispatch, but no run appeared within "
            f"{_APPEAR_SECONDS:.0f} s. Look at the repository's Actions page, then run the command again."
        )
        return self._appeared(known, nonce, lost, details.run_id if details else 0)

    def _appeared(self, known: int, nonce: str, otherwise: str, run_id: int = 0) -> Run:
        """Return the run that a dispatch made: the one GitHub named, else the first new one of ours."""
        for _ in self._rt.until(_APPEAR_SECONDS):
            new = [run for run in self._recent() if (run.id == run_id if run_id else run.id > known)]
            named = [run for run in new if nonce in run.title]
            candidates = named or (new if run_id else self._ours(new))
            if candidates:
                run = min(candidates, key=lambda run: run.id)
                self._rt.progress.say(f"run {run.id} is {run.status}: {run.url}")
                return run
            self._rt.progress.waiting("waiting for the run to appear")
        raise OpsError(otherwise)

    def _follow(self, run: Run, deadline: float) -> Run:
        """Wait until `run` has its conclusion, whatever it is."""
        told = False
        for left in self._rt.until(deadline - self._rt.clock()):
            if run.finished:
                return run
            if run.status == "waiting" and not told:
                self._rt.progress.say(f"the run waits for an approval: {run.url}")
                told = True
            self._rt.progress.waiting(f"run {run.id} is {run.status}", left)
            run = self._again(run)
        raise OpsError(
            f'could not finish run "{run.id}" of {self._workflow}: it is still {run.status}: {run.url}. '
            f"{'Approve' if run.status == 'waiting' else 'Look at'} it, then run the command again: it goes on with "
            "this run. timeouts.redeploy sets how long it waits."
        )

    def _again(self, run: Run) -> Run:
        try:
            return self._github.run(self._workflow.repository, run.id)
        except (GitHubTransientError, GitHubRateLimitedError) as trouble:
            self._rt.progress.say(f"{trouble} Still waiting.")
            return run

    def _explain(self, missing: GitHubNotFoundError) -> OpsError:
        """Say which of the things that GitHub answers 404 for it is."""
        workflow = self._workflow
        start = f"could not dispatch {workflow}"
        cause = f"(HTTP 404{f', request id {missing.request_id}' if missing.request_id else ''})"
        try:
            names = self._github.workflow_files(workflow.repository)
        except GitHubNotFoundError:
            return OpsError(
                f"{start}: there is no such repository, or GITHUB_TOKEN may not see it {cause}. Correct github:owner "
                "and github.repository, or give the token access to it, then run it again."
            )
        except GitHubError as other:
            return OpsError(f"{start}: not found {cause}. {other}")
        only = f", only {', '.join(names)}" if names else ""
        return OpsError(
            f"{start}: the repository has no workflow of that name{only} {cause}. Set github.workflow to the name of "
            "the file under .github/workflows on the default branch, and see that it has the trigger workflow_dispatch "
            "and that GITHUB_TOKEN has the permission Actions (read and write), then run it again."
        )


def _successful(run: Run, workflow: Workflow) -> Run:
    if run.succeeded:
        return run
    raise OpsError(
        f'could not redeploy through {workflow}: run "{run.id}" ended with "{run.conclusion or "no conclusion"}": '
        f"{run.url}. Read its log, fix the cause, then run the command again: it starts a new run."
    )
