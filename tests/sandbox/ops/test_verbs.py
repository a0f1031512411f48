"""The verbs as Commands run them, against emulated APIs and machines without programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clients.endpoints import World
from ops import __main__ as program
from ops import detach
from ops.runtime import Progress, Runtime
from sandbox.captionacc import ORCHESTRATOR, REPOSITORY, WORKFLOW
from sandbox.fly import FlyOptions
from sandbox.testing import Sandbox, running_sandbox
from tests.support.fly_world import IMAGE, ORG, FastClock, fast_timing, until
from tests.support.health_server import health_server

OURS = {
    "PREFECT_API_URL": "http://127.0.0.1:1/api",
    "PREFECT_API_KEY": "pf_canary",
    "PREFECT_API_AUTH_STRING": "o:pf_canary",
}
MARKER = "PREFECT_FLY_OWNER_0123456789AB"
ROOT = Path(__file__).parents[3]
DEAD = "http://127.0.0.1:9/health"


@dataclass
class Verbs:
    """Runs verbs in the sandbox's world."""

    sandbox: Sandbox
    health_url: str
    capture: pytest.CaptureFixture[str]
    failure: str = field(default="", init=False)

    def run(self, *argv: str) -> dict[str, Any] | None:
        """Run a verb; return its report, or None and keep what it wrote as `failure`."""
        code = program.main([*argv, "--endpoints", "sandbox"])
        written = self.capture.readouterr()
        self.failure = "" if code == 0 else written.err + written.out
        if code:
            return None
        report = json.loads(written.out.splitlines()[-1])
        assert isinstance(report, dict)
        return report

    def detach(self, *more: str, health_url: str = "", workflow: str = WORKFLOW) -> dict[str, Any] | None:
        """Run detach as the bookend does."""
        flags = [
            "--orchestrator-app",
            ORCHESTRATOR,
            "--repository",
            REPOSITORY,
            "--workflow",
            workflow,
            "--timeout",
            "60",
        ]
        return self.run("detach", *flags, "--health-url", health_url or self.health_url, *more)

    def wire(self, **secrets: str) -> None:
        """Let the orchestrator's machine run with our secrets."""
        self.sandbox.fly.set_secrets(ORCHESTRATOR, {**OURS, MARKER: "1", **secrets})
        self._update()

    def unset(self) -> None:
        """Unset them, as the resources above the bookend do; the machine keeps what it has."""
        self.sandbox.fly.set_secrets(ORCHESTRATOR, dict.fromkeys([*OURS, MARKER]))

    def _update(self) -> None:
        for machine in self.sandbox.fly.state.apps[ORCHESTRATOR].live_machines:
            self.sandbox.run(self.sandbox.fly.update_machine(machine))

    def started(self) -> bool:
        """Tell whether the orchestrator runs."""
        return all(each.state == "started" for each in self.sandbox.fly.state.apps[ORCHESTRATOR].live_machines)

    def dispatches(self) -> int:
        """Return how many dispatches GitHub saw."""
        return sum(entry["path"].endswith("/dispatches") for entry in self.sandbox.journal("github"))

    def names(self) -> set[str]:
        """Return the names of the orchestrator's secrets."""
        return set(self.sandbox.fly.state.apps[ORCHESTRATOR].secrets)


@pytest.fixture
def verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Verbs]:
    """Run the filled world on a fast clock, with a health endpoint that knows the machines' secrets."""

    def prefect() -> str:
        machines = running.fly.state.apps[ORCHESTRATOR].live_machines
        wired = any("PREFECT_API_URL" in machine.secrets for machine in machines)
        return "healthy" if wired else "not_configured"

    def fast_runtime(world: World) -> Runtime:
        return Runtime(world=world, progress=Progress(), environ=running.env() | extra, poll=0.05)

    extra: dict[str, str] = {}
    options = FlyOptions(org=ORG, exact_rate_limits=True)
    with (
        running_sandbox(tmp_path / "sandbox", clock=FastClock(), fly=options) as running,
        health_server(prefect) as url,
    ):
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("clients.fly.client.Timing", fast_timing)
        monkeypatch.setattr(program, "runtime", fast_runtime)
        monkeypatch.setattr(detach, "_SETTLE_SECONDS", 1.0)
        made = Verbs(running, url, capsys)
        until(made.started)
        yield made


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
            until(lambda: verbs.dispatches() == 1, 20)
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


def migrate(verbs: Verbs) -> dict[str, Any] | None:
    flags = ["--server-app", ORCHESTRATOR, "--image", IMAGE, "--region", "ewr", "--owner", "0123456789ab"]
    return verbs.run("migrate", *flags, "--env", "A=b=c", "--min-secrets-version", "1", "--timeout", "60")


def test_migrate_runs_a_machine_that_is_gone_afterwards(verbs: Verbs) -> None:
    """A migration that ends with 0 reports its image and leaves the app's machines as they were."""
    before = list(verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines)
    verbs.sandbox.emulated.script(arguments=("migrate",), exit_code=0, exit_after=0.1)
    assert migrate(verbs) == {"migrated": IMAGE}, verbs.failure
    assert verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines == before


def test_a_failed_migration_shows_its_sentence_without_credentials(verbs: Verbs) -> None:
    """Cause by exit code, the image's words, the log's end with the URL's password cut out."""
    lines = ("connecting to postgresql+asyncpg://u:hunter2@db.test/x", "migrate: the role may not create schemas.")
    verbs.sandbox.emulated.script(arguments=("migrate",), lines=lines, exit_code=14, exit_after=0.1)
    assert migrate(verbs) is None
    assert "lacks a privilege: the role may not create schemas (exit code 14)" in verbs.failure
    assert "hunter2" not in verbs.failure
    assert "u:[cut out]@db.test" in verbs.failure


def test_a_failed_migration_says_that_a_new_url_is_staged(verbs: Verbs) -> None:
    """Secrets cannot be put back: when the URL is newer than a running machine, the error warns of it."""
    verbs.sandbox.advance(5)
    verbs.sandbox.fly.set_secrets(
        ORCHESTRATOR, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://u:p@h/d"}
    )
    verbs.sandbox.emulated.script(arguments=("migrate",), exit_code=12, exit_after=0.1)
    assert migrate(verbs) is None
    assert "database URL is already staged" in verbs.failure


def doctor(verbs: Verbs) -> dict[str, Any] | None:
    flags = [
        "--org",
        ORG,
        "--orchestrator-app",
        ORCHESTRATOR,
        "--health-url",
        verbs.health_url,
        "--server-app",
        "captionacc-prefect",
    ]
    return verbs.run("doctor", *flags, "--repository", REPOSITORY, "--workflow", WORKFLOW)


def test_doctor_finds_nothing_wrong_in_a_good_world(verbs: Verbs) -> None:
    """Tokens, app, repository, workflow, Better Stack and health are all well; nothing is changed."""
    assert doctor(verbs) == {"problems": 0, "notes": 1}
    assert {entry["method"] for entry in verbs.sandbox.journal()} == {"GET"}


def test_doctor_tells_problems_and_shows_no_secret(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each broken thing is a line of its own, one failing look does not hide the others, and no token is printed."""
    environ = verbs.sandbox.env() | {"GITHUB_TOKEN": "ghp_canary", "BETTERSTACK_API_TOKEN": "canary"}
    broken = Runtime(world=World.SANDBOX, progress=Progress(), environ=environ, poll=0.05)
    monkeypatch.setattr(program, "runtime", lambda _world: broken)
    verbs.health_url = DEAD
    assert doctor(verbs) is None
    assert verbs.failure.count("problem  ") == 3
    assert all(subject in verbs.failure for subject in ("GitHub ", "Better Stack ", "orchestrator health "))
    assert "canary" not in verbs.failure
    assert verbs.sandbox.env()["FLY_API_TOKEN"] not in verbs.failure
