"""The verbs of the wiring as Commands run them: redeploy, detach and the emergency way out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from sandbox.captionacc import ORCHESTRATOR, REPOSITORY, WORKFLOW
from tests.sandbox.ops.conftest import DEAD, MARKER, OURS, ROOT, Verbs
from tests.support.fly_world import ORG
from tests.support.waiting import until


def test_redeploy_reports_the_run(verbs: Verbs) -> None:
    """The last line of standard output is the report that the Command's outputs are read from."""
    flags = ["--by", "workflow", "--orchestrator-app", ORCHESTRATOR, "--repository", REPOSITORY, "--workflow", WORKFLOW]
    report = verbs.run("redeploy", *flags, "--timeout", "60")
    assert report is not None
    assert list(report) == ["run_id", "url", "conclusion", "started_at", "finished_at"]
    assert (report["conclusion"], report["url"].endswith(f"/actions/runs/{report['run_id']}")) == ("success", True)
    assert 0 < report["started_at"] <= report["finished_at"]


def test_a_redeploy_that_was_killed_is_joined(verbs: Verbs) -> None:
    """A real process, killed without warning while it waits, is followed by one that goes on with the same run."""
    verbs.sandbox.github.script(queued=1.0, running=60.0, invisible=0.3, times=None)
    flags = ["--by", "workflow", "--orchestrator-app", ORCHESTRATOR, "--repository", REPOSITORY, "--workflow", WORKFLOW]
    argv = [sys.executable, "-m", "ops", "redeploy", *flags, "--endpoints", "sandbox"]
    environ = os.environ | verbs.sandbox.env()
    with subprocess.Popen(argv, cwd=ROOT, env=environ, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as killed:
        try:
            until(lambda: verbs.dispatches() == 1)
        finally:
            killed.send_signal(signal.SIGKILL)
    report = verbs.run("redeploy", *flags, "--timeout", "600")
    assert report is not None
    assert [run.id for run in verbs.sandbox.github.repositories[REPOSITORY].runs] == [report["run_id"]]
    assert verbs.dispatches() == 1


def test_redeploy_by_machines_needs_no_github(verbs: Verbs) -> None:
    """With --by machines the machine gets the present secrets in place, and GitHub is not called at all."""
    verbs.sandbox.fly.set_secrets(ORCHESTRATOR, dict(OURS))
    report = verbs.run("redeploy", "--by", "machines", "--orchestrator-app", ORCHESTRATOR, "--timeout", "60")
    assert report is not None
    assert (report["run_id"], report["url"]) == (None, "")
    (machine,) = verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines
    assert OURS.keys() <= machine.secrets.keys()
    assert verbs.sandbox.journal("github") == []


def test_detach_redeploys_until_health_says_not_configured(verbs: Verbs) -> None:
    """Secrets unset, machine still wired: one dispatch, and the orchestrator's own word at the end."""
    verbs.wire()
    verbs.unset()
    assert verbs.detach("--by", "workflow") == {"detached": True, "why": "redeployed"}
    assert verbs.dispatches() == 1


def test_detach_by_machines(verbs: Verbs) -> None:
    """The same without GitHub."""
    verbs.wire()
    verbs.unset()
    assert verbs.detach("--by", "machines") == {"detached": True, "why": "redeployed"}
    assert verbs.sandbox.journal("github") == []


@pytest.mark.parametrize("workflow", [WORKFLOW, "absent.yml"])
def test_detach_of_what_is_not_configured_dispatches_nothing(verbs: Verbs, workflow: str) -> None:
    """Already in ephemeral mode: done, also when the workflow's name was wrong from the start."""
    assert verbs.detach(workflow=workflow) == {"detached": True, "why": "not_configured"}
    assert verbs.dispatches() == 0


def test_detach_of_an_app_that_is_gone_dispatches_nothing(verbs: Verbs) -> None:
    """Nothing answers, and Fly's 404 to a token of the organization proves it gone."""
    verbs.sandbox.fly.state.apps.clear()
    assert verbs.detach("--org", ORG, health_url=DEAD) == {"detached": True, "why": "gone"}
    assert verbs.dispatches() == 0


def test_detach_does_not_believe_a_404_of_another_organization(verbs: Verbs) -> None:
    """A token that does not cover the recorded organization proves nothing; the server stays up."""
    verbs.sandbox.fly.state.apps.clear()
    assert verbs.detach("--org", "somebody-else", health_url=DEAD) is None
    assert 'FLY_API_TOKEN does not cover organization "somebody-else"' in verbs.failure
    assert "run the destroy again: it goes on from here" in verbs.failure


def test_a_failing_detach_says_how_it_goes_on_and_the_second_one_does(verbs: Verbs) -> None:
    """A failed run fails the verb with its URL, the second destroy and the override; run again it succeeds."""
    verbs.wire()
    verbs.unset()
    verbs.sandbox.github.script(conclusion="failure", queued=0.1, running=0.1)
    hook, verbs.sandbox.world.github.runner.on_run = verbs.sandbox.world.github.runner.on_run, None
    assert verbs.detach() is None
    assert 'ended with "failure": http' in verbs.failure
    assert "run the destroy again: it goes on from here" in verbs.failure
    assert "PREFECT_FLY_SKIP_DETACH=1 skips this step" in verbs.failure
    verbs.sandbox.world.github.runner.on_run = hook
    assert verbs.detach() == {"detached": True, "why": "redeployed"}


def test_a_redeploy_that_changes_nothing_fails_detach(verbs: Verbs) -> None:
    """A workflow that sets PREFECT_API_URL from elsewhere is not taken for a detachment."""
    verbs.wire()
    assert verbs.detach() is None
    assert 'says "healthy" instead of "not_configured"' in verbs.failure


def test_rollback_unsets_ours_keeps_the_rest_and_can_be_repeated(verbs: Verbs) -> None:
    """Without GitHub names and marker go, other secrets stay, the machine restarts; again there is nothing to do."""
    others = verbs.names()
    verbs.wire()
    flags = ["--orchestrator-app", ORCHESTRATOR, "--health-url", verbs.health_url, "--timeout", "60"]
    report = verbs.run("emergency-detach", *flags)
    assert report == {"app": ORCHESTRATOR, "unset": sorted([*OURS, MARKER]), "health": "not_configured"}
    assert verbs.names() == others
    assert verbs.run("emergency-detach", *flags) == {"app": ORCHESTRATOR, "unset": [], "health": "not_configured"}
    assert verbs.sandbox.journal("github") == []


def test_rollback_goes_on_where_it_was_killed(verbs: Verbs) -> None:
    """Killed after unsetting, before restarting: the second one restarts, since health does not say not_configured."""
    verbs.wire()
    verbs.unset()
    report = verbs.run("emergency-detach", "--orchestrator-app", ORCHESTRATOR, "--health-url", verbs.health_url)
    assert report == {"app": ORCHESTRATOR, "unset": [], "health": "not_configured"}


_REDEPLOY = ["--orchestrator-app", ORCHESTRATOR, "--repository", REPOSITORY, "--workflow", WORKFLOW, "--timeout", "60"]


def _let_pass(verbs: Verbs, seconds: float) -> None:
    """Return when so many of the sandbox's seconds have passed: more than clocks of two hosts may differ by."""
    began = verbs.sandbox.clock.time()
    until(lambda: verbs.sandbox.clock.time() > began + seconds)


def test_a_workflow_that_touches_no_machine_fails_redeploy(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A green run is no proof; the machine is named, and run again with a workflow that deploys it succeeds."""
    monkeypatch.setattr("ops.redeploy._ARRIVES_SECONDS", 0.2)
    _let_pass(verbs, 3)
    verbs.sandbox.fly.set_secrets(ORCHESTRATOR, {**OURS, MARKER: "1"})
    runner = verbs.sandbox.world.github.runner
    deploys, runner.on_run = runner.on_run, None
    assert verbs.run("redeploy", *_REDEPLOY) is None
    (machine,) = verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines
    assert f'could not redeploy app "{ORCHESTRATOR}": the workflow succeeded (http' in verbs.failure
    assert f"were last updated before that: {machine.id} ({machine.name}) at " in verbs.failure
    runner.on_run = deploys
    assert verbs.run("redeploy", *_REDEPLOY) is not None


def test_verify_is_not_satisfied_by_the_machine_of_before(verbs: Verbs) -> None:
    """Wired to one server and healthy, then given another one: healthy proves nothing until the machine is updated."""
    verbs.wire()
    flags = ["--mode", "cloud", "--orchestrator-app", ORCHESTRATOR, "--health-url", verbs.health_url, "--timeout"]
    assert verbs.run("verify", *flags, "60") == {"health": "healthy", "verified": True}
    _let_pass(verbs, 3)
    verbs.sandbox.fly.set_secrets(ORCHESTRATOR, {"PREFECT_API_URL": "http://127.0.0.1:2/api"})
    assert verbs.run("verify", *flags, "0.2") is None
    assert "it says it is healthy, but the app's secrets were written at" in verbs.failure
    assert verbs.run("redeploy", "--by", "machines", *_REDEPLOY) is not None
    assert verbs.run("verify", *flags, "60") == {"health": "healthy", "verified": True}
