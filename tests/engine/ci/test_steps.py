"""The steps of preview, deploy and drift, run as the workflows run them, with the real engine against the sandbox."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from proof import processes
from sandbox import captionacc
from sandbox.testing import Sandbox
from tests.support import waiting
from tests.support.ci_step import OUTPUT, PACK, run_step, step_environment
from tests.support.engine import STACK, Engine
from tests.support.stub_world import stack_config, stub_world

pytestmark = pytest.mark.engine


@dataclass(frozen=True)
class Job:
    """A runner: the stack's folder is the checkout, and what GitHub sets for a step are files in it."""

    sandbox: Sandbox
    engine: Engine

    @property
    def folder(self) -> Path:
        """Where the steps run."""
        return self.engine.folder

    @property
    def surroundings(self) -> dict[str, str]:
        """The variables of a step."""
        return step_environment(self.engine)

    def step(self, *words: str, code: int = 0, **changes: str) -> str:
        """Run `python -m ci` with these words; return what it printed."""
        return run_step(self.engine, *words, code=code, **changes)

    def preview(self, code: int = 0) -> str:
        """Run the preview's step and return the comment."""
        self.step("preview", "--stack", STACK, "--text", "preview.md", "--policy-pack", PACK, code=code)
        return (self.folder / "preview.md").read_text()

    def drift(self) -> tuple[str, str]:
        """Run the drift's step and return its output and its text."""
        (self.folder / OUTPUT).write_text("")
        self.step("drift", "--stack", STACK, "--text", "drift.md")
        return (self.folder / OUTPUT).read_text().strip(), (self.folder / "drift.md").read_text()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with stub_world(tmp_path / "sandbox") as sandbox:
        made = Job(sandbox, Engine(tmp_path / "stack", sandbox.env()))
        made.engine.set(stack_config(sandbox))
        yield made


def test_a_change_goes_from_preview_to_deploy(job: Job) -> None:
    """The comment says cost, connections and what restarts, before anything is there and for a change of what is."""
    first = job.preview()
    assert "31 created" not in first  # components are no resources of anybody's
    assert "| Fly, USD per month | — | 1.94 |" in first
    assert "- server machine `captionacc-prefect-ewr-1`: new" in first
    said = job.step("up", "--stack", STACK, "--policy-pack", PACK)
    assert "captionacc-orchestrator-verify" in said
    assert "created" in (job.folder / "summary.md").read_text()
    assert job.preview().splitlines()[2] == f"### Preview of stack `{STACK}`: no changes"

    larger: dict[str, Any] = {
        "vm": {"memoryMb": 512},
        "keys": {"current": 2, "accepted": [1, 2]},
        "database": {"tier": "small"},
    }
    job.engine.set(stack_config(job.sandbox, **larger))
    comment = job.preview()
    assert "| Fly, USD per month | 1.94 | 3.19 |" in comment
    assert re.search(r"\| Database connections \| .* of 60 connections \| .* of 90 connections \|", comment)
    assert re.search(r"- server machine `captionacc-prefect-ewr-1`: restarts in place \(.*guest.memory_mb", comment)
    assert "- the orchestrator `captionacc-orchestrator`: it is redeployed" in comment
    assert "| update | `fly:Secrets` | `captionacc-orchestrator` |" in comment
    assert "**What runs once**" in comment
    assert "pf_" not in comment


def test_a_preview_that_fails_says_why(job: Job) -> None:
    """The step fails, and the comment holds the sentence, without a traceback."""
    job.engine.set(stack_config(job.sandbox, vm={"memoryMb": 256, "swapMb": 0}))
    comment = job.preview(code=1)
    assert f"### Preview of stack `{STACK}`: it failed" in comment
    assert "swap" in comment
    assert "Traceback" not in comment


@pytest.mark.long
def test_drift_is_told_by_name_and_goes_away_with_up(job: Job) -> None:
    """A look changes nothing, says false while all is as stated, and true with the names once it is not."""
    job.step("up", "--stack", STACK, "--policy-pack", PACK)
    assert job.drift()[0] == "drift=false"
    machine = job.sandbox.fly.state.apps[captionacc.SERVER].live_machines[0]
    env = {**machine.config["env"], "PREFECT_LOGGING_LEVEL": "DEBUG"}
    job.sandbox.run(job.sandbox.fly.update_machine(machine, config={**machine.config, "env": env}))
    seen = len(job.sandbox.journal())
    drifted, text = job.drift()
    assert drifted == "drift=true"
    assert "| update | `fly:Machine` | `captionacc-prefect-ewr-1` |" in text
    assert "PREFECT_LOGGING_LEVEL" in text
    assert {call["method"] for call in job.sandbox.journal()[seen:]} == {"GET"}


@pytest.mark.long
def test_a_cancelled_deploy_goes_on_after_its_lock_is_taken_away(job: Job) -> None:
    """GitHub's runner ends the step's shell, then kills all that it started: nothing is lost or made twice."""
    script = job.folder / "step.sh"
    words = ("up", "--stack", STACK, "--policy-pack", PACK)
    script.write_text(shlex.join([sys.executable, "-m", "ci", *words]))
    made_unheard = job.sandbox.faults("fly").add("POST", "/machines$", hold=3600.0, drop_answer=True)
    with subprocess.Popen(["bash", "-e", str(script)], cwd=job.folder, env=job.surroundings) as shell:
        waiting.until(lambda: made_unheard.hits, lambda: "no machine was asked for")
        started = processes.below(shell.pid)
        for sent in (signal.SIGINT, signal.SIGTERM):
            shell.send_signal(sent)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    job.sandbox.faults("fly").clear()

    assert "pulumi cancel" in job.step(*words, code=1)
    job.engine.cancel()
    job.step(*words)
    assert len(job.sandbox.fly.state.apps[captionacc.SERVER].live_machines) == 1
    assert job.drift()[0] == "drift=false"
    assert job.preview().splitlines()[2] == f"### Preview of stack `{STACK}`: no changes"


def test_a_fork_previews_without_a_secret(job: Job) -> None:
    """With made-up settings on a throw-away backend: nothing of the real one is read, no API but GitHub's is asked."""
    file = job.folder / f"Pulumi.{STACK}.yaml"
    kept = yaml.safe_load(file.read_text())
    assert "secure" in kept["config"]["prefect-fly:databaseUrl"]
    seen = len(job.sandbox.journal())
    secretless: dict[str, Any] = {
        "FLY_API_TOKEN": "made-up",
        "BETTERSTACK_API_TOKEN": "",
        "PULUMI_CONFIG_PASSPHRASE": "",
    }
    job.step("throw-away", "--stack", STACK, **secretless)
    handed_on = dict(line.split("=", 1) for line in (job.folder / "environment").read_text().splitlines())
    assert handed_on["PULUMI_BACKEND_URL"] != job.engine.variables["PULUMI_BACKEND_URL"]
    preview = ("preview", "--stack", STACK, "--text", "preview.md", "--policy-pack", PACK)
    job.step(*preview, **{**secretless, **handed_on})
    assert "| Fly, USD per month | — | 1.94 |" in (job.folder / "preview.md").read_text()
    assert {call["service"] for call in job.sandbox.journal()[seen:]} <= {"github"}
