from __future__ import annotations

import pytest

from clients.github.errors import GitHubRefusedError
from ops.errors import OpsError
from ops.workflow_redeploy import Workflow, WorkflowRedeploy
from tests.support.fake_github import REPOSITORY, WORKFLOW, FakeGitHub, FakeRun
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock, answer

IN_PROGRESS = [(0.0, "in_progress", ""), (60.0, "completed", "success")]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def github(clock: FakeClock) -> FakeGitHub:
    return FakeGitHub(clock)


@pytest.fixture
def around(clock: FakeClock) -> Surroundings:
    return Surroundings(clock)


def redeploy(
    github: FakeGitHub, around: Surroundings, *, workflow: str = WORKFLOW, inputs: dict[str, str] | None = None
) -> WorkflowRedeploy:
    target = Workflow(repository=REPOSITORY, file=workflow, ref="main", inputs=inputs or {})
    return WorkflowRedeploy(github.client(), target, around.rt)


def test_a_run_is_dispatched_and_followed_to_its_success(github: FakeGitHub, around: Surroundings) -> None:
    """With nothing in flight exactly one dispatch goes out, on the ref asked for, and its run's success is returned."""
    done = redeploy(github, around).run(600)
    assert [body["ref"] for body in github.dispatched] == ["main"]
    assert (done.run.id, done.run.conclusion, done.attached) == (100, "success", False)


def test_run_details_in_the_answer_are_taken(clock: FakeClock, around: Surroundings) -> None:
    """Where GitHub is asked for the run and names it, that very run is followed."""
    github = FakeGitHub(clock, details=True)
    done = redeploy(github, around).run(600)
    assert (github.dispatched[0]["return_run_details"], done.run.id) == (True, 100)


def test_an_old_enterprise_server_is_asked_again_without_the_field_it_does_not_know(
    github: FakeGitHub, around: Surroundings
) -> None:
    """A 400 to return_run_details is followed by one dispatch without it, and the run is found by listing."""
    github.refuse = answer(400, {"message": '"return_run_details" is not a permitted key'})
    assert redeploy(github, around).run(600).run.id == 100
    assert github.dispatched == [{"ref": "main"}]


def test_a_run_that_shows_up_late_is_found(github: FakeGitHub, around: Surroundings) -> None:
    """A run that the list shows only 20 seconds after its dispatch is followed, not dispatched again."""
    github.visible_after = 20
    assert redeploy(github, around).run(600).run.id == 100
    assert len(github.dispatched) == 1


def test_a_second_invocation_attaches_to_the_run_of_a_killed_one(
    github: FakeGitHub, around: Surroundings, clock: FakeClock
) -> None:
    """A run of ours in flight is followed to its end and nothing is dispatched."""
    github.runs.append(FakeRun(id=7, created_at=clock.now - 30, steps=IN_PROGRESS))
    done = redeploy(github, around).run(600)
    assert (done.run.id, done.attached, github.dispatched) == (7, True, [])


def test_a_colleagues_run_is_not_ours(github: FakeGitHub, around: Surroundings, clock: FakeClock) -> None:
    """A run that another account dispatched is left alone and ours is dispatched."""
    github.runs.append(FakeRun(id=7, created_at=clock.now - 30, actor="colleague", steps=IN_PROGRESS))
    done = redeploy(github, around).run(600)
    assert (done.run.id, done.attached) == (101, False)


def test_a_run_on_another_ref_is_not_ours(github: FakeGitHub, around: Surroundings, clock: FakeClock) -> None:
    """A run of ours on another branch is not attached to."""
    github.runs.append(FakeRun(id=7, created_at=clock.now - 30, branch="feature", steps=IN_PROGRESS))
    assert redeploy(github, around).run(600).run.id != 7


def test_the_nonce_tells_our_runs_from_manual_ones_of_the_same_account(
    github: FakeGitHub, around: Surroundings, clock: FakeClock
) -> None:
    """With a nonce in the run's title, only a run with our mark is ours, even among runs of the same account."""
    github.title_input = "reason"
    flow = redeploy(github, around, inputs={"reason": "{nonce}"})
    flow.run(600)
    sent = github.dispatched[0]["inputs"]["reason"]
    assert sent.startswith("prefect-fly-")
    github.runs.append(FakeRun(id=500, created_at=clock.now, title="Deploy by hand", steps=IN_PROGRESS))
    assert flow.in_flight() is None
    github.runs.append(FakeRun(id=501, created_at=clock.now, title=f"Deploy {sent}", steps=IN_PROGRESS))
    found = flow.in_flight()
    assert found is not None
    assert found.id == 501


def test_a_run_that_began_before_the_secrets_were_written_is_waited_for_and_followed_by_another(
    github: FakeGitHub, around: Surroundings, clock: FakeClock
) -> None:
    """A stale run may have deployed the old secrets: it is never joined, and never overlapped either."""
    github.runs.append(FakeRun(id=7, created_at=clock.now - 30, steps=IN_PROGRESS))
    done = redeploy(github, around).run(600, secrets_written_at=clock.now - 10)
    assert (done.run.id, done.attached) == (101, False)
    assert github.runs[1].created_at >= github.runs[0].created_at + 60


def test_a_queued_run_is_joined_however_old(github: FakeGitHub, around: Surroundings, clock: FakeClock) -> None:
    """A run that has not begun deploys whatever the secrets are when it does, so it is joined."""
    steps = [(0.0, "waiting", ""), (90.0, "completed", "success")]
    github.runs.append(FakeRun(id=7, created_at=clock.now - 30, steps=steps))
    assert redeploy(github, around).run(600, secrets_written_at=clock.now).run.id == 7


def test_a_dispatch_whose_answer_is_lost_is_looked_for_and_not_repeated(
    github: FakeGitHub, around: Surroundings
) -> None:
    """After a timeout that was accepted all the same, the one run is found: never two in flight."""
    github.lose_the_answer = True
    github.visible_after = 15
    assert redeploy(github, around).run(600).run.id == 100
    assert len(github.dispatched) == 1


def test_a_lost_dispatch_without_a_run_fails_and_is_not_repeated(github: FakeGitHub, around: Surroundings) -> None:
    """When no run appears after an unconfirmed dispatch, the verb fails and says that running it again is safe."""
    github.refuse = answer(502, {"message": "bad gateway"})
    with pytest.raises(OpsError, match=r"HTTP 502.*run it again, it looks for the run first"):
        redeploy(github, around).run(600)
    assert github.dispatched == []


def test_waiting_for_an_approval_prints_the_url_once(github: FakeGitHub, around: Surroundings) -> None:
    """The URL of a run that waits for an approval is told once, however long it waits."""
    github.next_steps = [(0.0, "waiting", ""), (120.0, "completed", "success")]
    redeploy(github, around).run(600)
    assert around.said.count("waits for an approval: https://github.test/runs/100") == 1


@pytest.mark.parametrize("conclusion", ["failure", "cancelled", "timed_out", "neutral", "skipped", "startup_failure"])
def test_any_conclusion_but_success_fails_with_the_url(
    github: FakeGitHub, around: Surroundings, conclusion: str
) -> None:
    """Only success is success; everything else names the run and its URL."""
    github.next_steps = [(0.0, "queued", ""), (10.0, "completed", conclusion)]
    with pytest.raises(OpsError, match=rf'run "100" ended with "{conclusion}": https://github.test/runs/100\. '):
        redeploy(github, around).run(600)


def test_a_run_that_takes_too_long_fails_and_the_next_invocation_goes_on_with_it(
    github: FakeGitHub, around: Surroundings
) -> None:
    """Running out of time says where the run is; running again attaches to it."""
    github.next_steps = [(0.0, "waiting", ""), (900.0, "completed", "success")]
    with pytest.raises(OpsError, match=r"still waiting: https://github.test/runs/100\. Approve it"):
        redeploy(github, around).run(600)
    assert redeploy(github, around).run(600).run.id == 100
    assert len(github.dispatched) == 1


def test_a_wrong_workflow_name_is_told_with_the_ones_that_exist(github: FakeGitHub, around: Surroundings) -> None:
    """A 404 for the workflow names workflow, repository and ref, lists what there is, and says how to fix it."""
    with pytest.raises(OpsError) as failure:
        redeploy(github, around, workflow="deploy.yml").run(600)
    assert str(failure.value) == (
        'could not dispatch workflow "deploy.yml" of captionacc/captionacc on main: the repository has no workflow of '
        "that name, only deploy-orchestrator.yml (HTTP 404, request id R1). Set github.workflow to the name of the "
        "file under .github/workflows on the default branch, and see that it has the trigger workflow_dispatch and "
        "that GITHUB_TOKEN has the permission Actions (read and write), then run it again."
    )


def test_a_repository_that_the_token_cannot_see_is_told_apart(github: FakeGitHub, around: Surroundings) -> None:
    """A 404 for the repository speaks of the repository and the token, not of the workflow."""
    github.repositories = []
    with pytest.raises(OpsError, match="there is no such repository, or GITHUB_TOKEN may not see it"):
        redeploy(github, around).run(600)


def test_a_refusal_keeps_githubs_words(github: FakeGitHub, around: Surroundings) -> None:
    """A 422 is not waited for; its reason reaches the person."""
    refusals = [answer(422, {"message": "No ref found for: main"}) for _ in range(2)]
    github.refuse = refusals.pop()
    dispatch = github._dispatch
    github._dispatch = lambda body: refusals.pop() if refusals and not github.refuse else dispatch(body)  # type: ignore[method-assign]
    with pytest.raises(GitHubRefusedError, match=r"No ref found for: main \(HTTP 422\)"):
        redeploy(github, around).run(600)
