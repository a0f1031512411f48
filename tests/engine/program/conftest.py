"""A sandbox with stand-in programs and a stack in it, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation

from clients.endpoints import World
from clients.fly import FlyClient
from clients.transport import no_progress
from sandbox import captionacc
from sandbox.testing import Sandbox
from tests.support.engine import Engine
from tests.support.stub_world import stack_config, stub_world


@dataclass(frozen=True)
class Deployment:
    """A sandbox and a stack in it."""

    sandbox: Sandbox
    engine: Engine
    ours: frozenset[str] = frozenset({"PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"})

    def configure(self, **groups: Any) -> None:
        """State the settings, these groups merged into the usual ones."""
        self.engine.set(stack_config(self.sandbox, **groups))

    def prefect_health(self) -> str:
        """What the orchestrator says of Prefect."""
        health = self.sandbox.status()["orchestrator"]["health"]
        return str(health["components"]["prefect"]) if health else "no answer"

    def app_names(self) -> list[str]:
        """The Fly apps there are."""
        return [app["name"] for app in self.sandbox.status()["fly"]["apps"]]

    def secret_names(self, app: str) -> set[str]:
        """Names of an app's secrets."""
        apps = {entry["name"]: entry for entry in self.sandbox.status()["fly"]["apps"]}
        return {secret["name"] for secret in apps[app]["secrets"]}

    def github_secrets(self) -> set[str]:
        """Names of the repository's secrets."""
        return set(self.sandbox.status()["github"]["secrets"])

    def behave(self, behaviour: str | None) -> None:
        """Let the orchestrator behave so from now on; None: well."""
        machine = self.sandbox.fly.state.apps[captionacc.ORCHESTRATOR].live_machines[0]
        env = {key: value for key, value in machine.config["env"].items() if key != "ORCHESTRATOR_BEHAVIOUR"}
        if behaviour:
            env["ORCHESTRATOR_BEHAVIOUR"] = behaviour
        self.sandbox.run(self.sandbox.fly.update_machine(machine, config={**machine.config, "env": env}))

    def server_machine(self) -> str:
        """Id of the server's only machine."""
        return str(self.sandbox.fly.state.apps[captionacc.SERVER].live_machines[0].id)

    def stop(self, app: str) -> list[str]:
        """Stop all machines of an app by hand, wait until they are, and return their ids."""
        client = FlyClient.from_environment(World.SANDBOX, self.sandbox.env(), progress=no_progress)
        machines = client.machines.list(app)
        for machine in machines:
            client.machines.stop(app, machine)
            assert client.machines.wait(app, machine, "stopped", version=machine.instance_id, seconds=60)
        return [machine.id for machine in machines]

    def up_fails(self) -> str:
        """Run `up`, which must fail without a traceback, and return what the engine printed."""
        seen = len(self.engine.text())
        with pytest.raises(automation.CommandError):
            self.engine.up(inline=False)
        text = self.engine.text()[seen:]
        assert "Traceback" not in text
        return text

    def fixed(self) -> None:
        """The next `up` goes through and the stack is quiet."""
        self.engine.up()
        assert self.prefect_health() == "healthy"
        assert self.engine.preview(expect_no_changes=True) == {}

    def changes(self, since: int = 0) -> list[str]:
        """The calls that changed something, as `service METHOD path`."""
        calls = self.sandbox.journal()[since:]
        return [
            f"{call['service']} {call['method']} {call['path']}"
            for call in calls
            if call["method"] != "GET" and call["status"] < 400
        ]


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with stub_world(tmp_path / "sandbox") as sandbox:
        made = Deployment(sandbox, Engine(tmp_path / "stack", sandbox.env(), inline=True))
        made.configure()
        yield made
