"""The GitHub client against the emulated API: what a redeploy needs, over real HTTP."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest

from clients.endpoints import World
from clients.github import GitHubClient
from clients.github.errors import (
    GitHubNotFoundError,
    GitHubRateLimitedError,
    GitHubRefusedError,
    GitHubUnauthorizedError,
    GitHubUnclearError,
)
from clients.transport import no_progress
from ops.errors import OpsError
from ops.runtime import Progress, Runtime
from ops.workflow_redeploy import Workflow, WorkflowRedeploy
from sandbox.captionacc import REPOSITORY
from sandbox.testing import Sandbox, running_sandbox

FILE = "deploy.yml"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path_factory.mktemp("sandbox"), filled=False) as running:
        yield running


@pytest.fixture
def sandbox(shared: Sandbox) -> Sandbox:
    """Give every test a GitHub with one repository and one workflow that shows its nonce."""
    shared.reset()
    shared.faults("github").clear()
    shared.github.clear()
    repository = shared.github.add_repository(*REPOSITORY.split("/"))
    shared.github.add_workflow(repository, FILE, "Deploy", inputs={"reason": False}, title_input="reason")
    shared.github.script(queued=0.05, running=0.1, invisible=0.0, times=None)
    return shared


@pytest.fixture
def client(sandbox: Sandbox) -> GitHubClient:
    return GitHubClient.from_environment(World.SANDBOX, sandbox.env(), progress=no_progress)


@pytest.fixture
def rt(sandbox: Sandbox) -> Runtime:
    progress = Progress(io.StringIO())
    return Runtime(world=World.SANDBOX, progress=progress, environ=sandbox.env(), poll=0.05, lag=0.05)


def flow(client: GitHubClient, rt: Runtime, file: str = FILE, inputs: dict[str, str] | None = None) -> WorkflowRedeploy:
    return WorkflowRedeploy(client, Workflow(repository=REPOSITORY, file=file, ref="main", inputs=inputs or {}), rt)


def dispatches(sandbox: Sandbox) -> int:
    return sum(entry["path"].endswith("/dispatches") for entry in sandbox.journal("github"))


def test_a_dispatch_names_its_run_and_the_run_can_be_followed(client: GitHubClient) -> None:
    """With run details the id is known at once; the run's fields are read from the API's own spelling."""
    started = client.dispatch(REPOSITORY, FILE, "main", {"reason": "because"})
    assert started is not None
    run = client.run(REPOSITORY, started.run_id)
    assert (run.event, run.branch, run.title, run.actor) == ("workflow_dispatch", "main", "Deploy because", "sandbox")
    assert abs(run.created_at - time.time()) < 60
    assert run.url == started.url


def test_an_enterprise_server_gets_the_dispatch_without_details(sandbox: Sandbox, client: GitHubClient) -> None:
    """A host that refuses the unknown field with 400 still gets exactly one run."""
    sandbox.github.ghes = True
    assert client.dispatch(REPOSITORY, FILE, "main") is None
    assert len(client.runs(REPOSITORY, FILE, branch="main", created_since=time.time() - 60)) == 1


def test_runs_are_listed_newest_first_by_ref_and_time(client: GitHubClient) -> None:
    """The list holds dispatched runs of the ref since the time asked for."""
    ids = [client.dispatch(REPOSITORY, FILE, "main") for _ in range(2)]
    listed = client.runs(REPOSITORY, FILE, branch="main", created_since=time.time() - 60)
    assert [run.id for run in listed] == [started.run_id for started in reversed(ids) if started]
    assert client.runs(REPOSITORY, FILE, branch="other", created_since=time.time() - 60) == ()
    assert client.runs(REPOSITORY, FILE, branch="main", created_since=time.time() + 60) == ()


def test_what_the_token_sees_is_read(client: GitHubClient) -> None:
    """Login, repository, workflow, workflow files and secrets' names are what doctor and messages are made of."""
    assert client.login() == "sandbox"
    assert client.repository(REPOSITORY).full_name == REPOSITORY
    assert client.workflow(REPOSITORY, FILE).state == "active"
    assert client.workflow_files(REPOSITORY) == (FILE,)
    assert client.secret_names(REPOSITORY) == ()


def test_refusals_are_typed_and_keep_githubs_words(sandbox: Sandbox, client: GitHubClient) -> None:
    """401, 404, 422 and a rate limit are different errors, each one sentence with status and advice."""
    with pytest.raises(GitHubNotFoundError, match=r'repository "captionacc/absent": Not Found \(HTTP 404'):
        client.repository("captionacc/absent")
    with pytest.raises(GitHubRefusedError, match=r"No ref found for: absent.*HTTP 422"):
        client.dispatch(REPOSITORY, FILE, "absent")
    wrong = GitHubClient.from_environment(World.SANDBOX, sandbox.env() | {"GITHUB_TOKEN": "x"}, progress=no_progress)
    with pytest.raises(GitHubUnauthorizedError, match=r"Bad credentials.*Set GITHUB_TOKEN to a token"):
        wrong.repository(REPOSITORY)
    limit = {"Retry-After": "3600", "X-RateLimit-Remaining": "0"}
    sandbox.faults("github").add("GET", "/user", status=403, body={"message": "API rate limit exceeded"}, headers=limit)
    with pytest.raises(GitHubRateLimitedError, match="API rate limit exceeded"):
        client.login()


def test_a_dispatch_without_an_answer_is_unclear_and_sent_once(sandbox: Sandbox, client: GitHubClient) -> None:
    """A connection that breaks after the effect is not retried: the error says to look for the run first."""
    sandbox.faults("github").add("POST", "/dispatches", drop_answer=True)
    with pytest.raises(GitHubUnclearError, match="It may have been accepted all the same"):
        client.dispatch(REPOSITORY, FILE, "main")
    assert dispatches(sandbox) == 1


def test_a_redeploy_runs_to_its_end(client: GitHubClient, rt: Runtime) -> None:
    """Dispatch, follow, success, with times by GitHub's clock."""
    done = flow(client, rt).run(30)
    assert done.run.conclusion == "success"
    assert done.run.created_at <= done.run.started_at <= done.run.updated_at


def test_a_lost_answer_ends_with_one_run(sandbox: Sandbox, client: GitHubClient, rt: Runtime) -> None:
    """The run of a dispatch whose answer was lost is found by its nonce and followed; there is no second one."""
    sandbox.faults("github").add("POST", "/dispatches", drop_answer=True)
    done = flow(client, rt, inputs={"reason": "{nonce}"}).run(30)
    assert done.run.succeeded
    assert (dispatches(sandbox), len(sandbox.github.repositories[REPOSITORY].runs)) == (1, 1)


def test_two_invocations_share_one_run(sandbox: Sandbox, client: GitHubClient, rt: Runtime) -> None:
    """The second invocation, after the first gave up waiting, goes on with the same run."""
    sandbox.github.scripts.clear()
    sandbox.github.script(queued=0.05, running=0.1, approval=True)
    with pytest.raises(OpsError, match="still waiting"):
        flow(client, rt).run(0.5)
    (run,) = sandbox.github.repositories[REPOSITORY].runs
    assert sandbox.approve(run)
    done = flow(client, rt).run(30)
    assert (done.run.id, done.attached or done.run.finished) == (run.id, True)
    assert dispatches(sandbox) == 1


def test_a_wrong_workflow_is_told_with_the_right_one(client: GitHubClient, rt: Runtime) -> None:
    """The sentence for a 404 lists the workflow that exists."""
    with pytest.raises(OpsError, match=r"no workflow of that name, only deploy\.yml"):
        flow(client, rt, "absent.yml").run(30)
