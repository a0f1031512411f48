"""States that older versions wrote are rolled back by today's code.

Each file of tests/engine/states is `pulumi stack export --show-secrets` of a deployment into the sandbox, made by the
version that its name tells, with placeholders for what differs from one sandbox to the next and made-up secrets. A
release that changes what stands in users' state adds one (CONTRIBUTING.md says how).
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients.better_stack import BetterStackClient
from clients.endpoints import World
from clients.fly import FlyClient
from clients.fly.addresses import Kind
from clients.fly.model import MachineRequest
from clients.fly.operations.rollout import update_secrets_in_place
from clients.fly.operations.waiting import Watch
from clients.names import API_KEY, API_KEYS_SECRET, API_URL, AUTH_STRING, MARKER_VALUE, WIRED, marker_of
from clients.transport import no_progress
from sandbox import captionacc
from sandbox.testing import Sandbox
from tests.engine.program.conftest import Deployment
from tests.support.waiting import until

pytestmark = pytest.mark.engine

STATES = sorted((Path(__file__).parents[1] / "states").glob("*.json"))


@dataclass(frozen=True)
class OlderState:
    """A state file, and the world that it describes."""

    text: str

    def outputs(self, kind: str, name: str) -> dict[str, Any]:
        """Return the outputs of one resource, secrets as the file holds them."""
        resources = json.loads(self.text)["deployment"]["resources"]
        found = [r for r in resources if r["type"].endswith(kind) and r["urn"].endswith(f"::{name}")]
        outputs: dict[str, Any] = found[0]["outputs"]
        return outputs

    def build(self, sandbox: Sandbox) -> dict[str, str]:
        """Make everything that the state describes, with its marks, and return what the placeholders stand for."""
        client = FlyClient.from_environment(World.SANDBOX, sandbox.env(), progress=no_progress)
        server, orchestrator = captionacc.SERVER, captionacc.ORCHESTRATOR
        client.apps.create(server, captionacc.ORGANISATION)
        v4, v6 = (client.addresses.allocate(server, kind).ip for kind in (Kind.SHARED_V4, Kind.V6))
        for app in (server, orchestrator):
            kept = self.outputs("fly:Secrets", app)
            values = dict.fromkeys(kept["names"], "a value") | {marker_of(kept["owner"]): MARKER_VALUE}
            client.secrets.write(app, values | self._working_values(app, sandbox.edge_url(server)))
        machine = self._machine(client, client.secrets.present_version(server))
        update_secrets_in_place(client, orchestrator)
        repository = sandbox.github.repositories[f"{captionacc.ORGANISATION}/captionacc"]
        for name in (API_URL, API_KEY, AUTH_STRING):
            repository.vault.put(name, "a value", time.time())
        url = f"{sandbox.edge_url(server)}/api/ready"
        monitor = BetterStackClient.from_environment(World.SANDBOX, sandbox.env()).create({"url": url})
        return {"machine": machine, "v4": v4, "v6": v6, "monitor": monitor.id}

    def _working_values(self, app: str, url: str) -> dict[str, str]:
        """Return values with which the stand-ins find and accept each other."""
        key = "made-up"
        if app == captionacc.SERVER:
            return {API_KEYS_SECRET: json.dumps({"orchestrator": hashlib.sha256(key.encode()).hexdigest()})}
        return {API_URL: f"{url}/api", API_KEY: key, AUTH_STRING: f"orchestrator:{key}"}

    def _machine(self, client: FlyClient, secrets_version: int) -> str:
        kept = self.outputs("fly:Machine", f"{captionacc.SERVER}-ewr-1")
        marks = {"prefect_fly_owner": kept["owner"], "prefect_fly_name": kept["name"]}
        config = {**kept["config"], "metadata": {**kept["config"]["metadata"], **marks}}
        request = MachineRequest(
            name=kept["name"], region=kept["region"], config=config, min_secrets_version=secrets_version
        )
        created = client.machines.create(captionacc.SERVER, request)
        return Watch(client=client, app=captionacc.SERVER, within=120).healthy(created).id

    def filled(self, sandbox: Sandbox, made: dict[str, str]) -> dict[str, Any]:
        """Return the state with the placeholders filled."""
        server = sandbox.edge_url(captionacc.SERVER)
        values = made | {
            "server_url": server,
            "server_host": server.partition("//")[2],
            "orchestrator_url": sandbox.edge_url(captionacc.ORCHESTRATOR),
            "github_url": sandbox.env()["GITHUB_BASE_URL"],
        }
        text = self.text
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", value)
        assert "{{" not in text
        filled: dict[str, Any] = json.loads(text)
        return filled


@pytest.mark.parametrize("file", STATES, ids=lambda file: file.stem)
def test_a_state_of_an_older_version_is_rolled_back_in_order(deployment: Deployment, file: Path) -> None:
    """The orchestrator back in ephemeral mode first, then the server, by the classes and texts that the state names."""
    sandbox, state = deployment.sandbox, OlderState(file.read_text(encoding="utf-8"))
    made = state.build(sandbox)
    until(lambda: deployment.prefect_health() == "healthy")
    deployment.engine.restore(state.filled(sandbox, made))
    seen = len(sandbox.journal())
    deployment.engine.destroy()

    changes = deployment.changes(seen)
    dispatch = next(index for index, call in enumerate(changes) if call.endswith("/dispatches"))
    unset = [index for index, call in enumerate(changes) if "/actions/secrets/" in call]
    removed = [index for index, call in enumerate(changes) if "DELETE" in call and "betterstack" in call]
    removed += [
        index for index, call in enumerate(changes) if "DELETE" in call and f"/apps/{captionacc.SERVER}" in call
    ]
    assert len(unset) == 3
    assert max(unset) < dispatch < min(removed)
    assert deployment.prefect_health() == "not_configured"
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    assert not deployment.secret_names(captionacc.ORCHESTRATOR) & {*WIRED, marker_of("7a55b38f41df")}
    assert not sandbox.better_stack.monitors
    assert deployment.engine.resources() == []
