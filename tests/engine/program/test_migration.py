"""docs/migrate.md with the real program: what was made by hand is taken over, used and rolled back."""

from __future__ import annotations

from typing import Any

import pytest

from clients.endpoints import World
from clients.fly import FlyClient
from clients.fly.addresses import Kind
from clients.fly.model import MachineRequest
from clients.fly.operations.waiting import Watch
from clients.transport import no_progress
from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.long]

RUNBOOK: dict[str, Any] = {
    "image": f"registry.fly.io/{captionacc.SERVER}:deployment-01HAND",
    "env": {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr", "PREFECT_SERVER_API_PORT": "4200"},
    "init": {"cmd": ["serve"]},
    "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
    "metadata": {"fly_platform_version": "v2", "fly_process_group": "app", "fly_release_version": "3"},
    "services": [
        {
            "protocol": "tcp",
            "internal_port": 4200,
            "autostop": "off",
            "ports": [{"port": 443, "handlers": ["tls", "http"]}],
            "checks": [
                {"type": "http", "interval": "2s", "timeout": "2s", "grace_period": "5s", "path": "/api/health"}
            ],
        }
    ],
}


def follow_the_runbook(deployment: Deployment) -> str:
    """Do by hand what the runbook said, with the two machines of `fly deploy`; return the id of the one to keep."""
    client = FlyClient.from_environment(World.SANDBOX, deployment.sandbox.env(), progress=no_progress)
    app = captionacc.SERVER
    client.apps.create(app, captionacc.ORGANISATION)
    for kind in Kind:
        client.addresses.allocate(app, kind)
    version = client.secrets.write(app, {"PREFECT_API_DATABASE_CONNECTION_URL": "postgresql://by-hand"}).version
    client.secrets.write(captionacc.ORCHESTRATOR, {"PREFECT_API_URL": "https://by-hand/api"})
    ids = []
    for name in ("winter-moon-12", "red-sun-3"):
        request = MachineRequest(name=name, region="ewr", config=RUNBOOK, min_secrets_version=version)
        ids.append(Watch(client=client, app=app, within=60).healthy(client.machines.create(app, request)).id)
    return min(ids)


def test_a_server_of_the_manual_runbook_becomes_the_stack_s(deployment: Deployment) -> None:
    """Refused without the settings; with them the same app and addresses serve the orchestrator, and go."""
    machine = follow_the_runbook(deployment)
    app = deployment.sandbox.fly.state.apps[captionacc.SERVER]
    addresses = {address.ip for address in app.addresses}
    refused = " ".join(deployment.up_fails().split())
    assert "Set fly.adoptExisting: true" in refused
    assert app.live_machines[0].config["image"] == RUNBOOK["image"]

    deployment.configure(fly={"adoptExisting": True}, orchestrator={"takeOver": True})
    deployment.engine.up()
    assert deployment.prefect_health() == "healthy"
    (taken,) = app.live_machines
    assert taken.id != machine, "one that differs is replaced without a gap, as by any update"
    assert taken.config["image"] != RUNBOOK["image"]
    assert {address.ip for address in app.addresses} == addresses
    assert "PREFECT_API_DATABASE_CONNECTION_URL" not in deployment.secret_names(captionacc.SERVER)
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}

    seen = len(deployment.sandbox.journal())
    deployment.configure()
    deployment.fixed()
    assert deployment.changes(seen) == [], "taking the settings back changes nothing and restarts nobody"
    deployment.engine.destroy()
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    assert deployment.prefect_health() == "not_configured"
