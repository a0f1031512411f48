"""Runs verbs as Commands do, against emulated APIs and machines without programs."""

from __future__ import annotations

import json
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
from tests.support.fly_world import ORG, FastClock, fast_timing
from tests.support.health_server import health_server
from tests.support.waiting import until

OURS = {
    "PREFECT_API_URL": "http://127.0.0.1:1/api",
    "PREFECT_API_KEY": "pf_canary",
    "PREFECT_API_AUTH_STRING": "o:pf_canary",
    "PREFECT_CLIENT_CUSTOM_HEADERS": '{"Authorization": "Bearer pf_canary"}',
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
    progress: str = field(default="", init=False)

    def run(self, *argv: str) -> dict[str, Any] | None:
        """Run a verb; return its report, or None and keep what it wrote as `failure`. `progress` is for people."""
        return self.run_of_stack(*argv, "--endpoints", "sandbox")

    def run_of_stack(self, *argv: str) -> dict[str, Any] | None:
        """Run a verb to which the stack states the world."""
        code = program.main(argv)
        written = self.capture.readouterr()
        self.progress = written.err
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
        self.restart()

    def unset(self) -> None:
        """Unset them, as the resources above the bookend do; the machine keeps what it has."""
        self.sandbox.fly.set_secrets(ORCHESTRATOR, dict.fromkeys([*OURS, MARKER]))

    def restart(self) -> None:
        """Update the orchestrator's machine, so that it runs with the secrets that the app has now."""
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
        return Runtime(world=world, progress=Progress(), environ=running.env() | extra, poll=0.05, lag=0.05)

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
