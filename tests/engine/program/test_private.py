"""A server without a public address: reached inside the organisation's network, and proved from there."""

from __future__ import annotations

import pytest

from clients.names import LOGIN_KEYS_OUTPUT
from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.long]

PRIVATE_NAME = f"{captionacc.SERVER}.flycast"


def kinds(deployment: Deployment) -> set[str]:
    return {address.kind for address in deployment.sandbox.fly.state.apps[captionacc.SERVER].addresses}


def test_a_public_server_becomes_private_and_destroy_rolls_it_back(deployment: Deployment) -> None:
    """Public addresses and GitHub secrets go, the orchestrator moves, and both verifications ask through a machine."""
    deployment.fixed()
    inside = deployment.sandbox.edge_url(PRIVATE_NAME)
    deployment.configure(fly={"private": True, "privateUrlTemplate": inside}, uptime={"enabled": False})
    seen = len(deployment.sandbox.journal())
    deployment.fixed()

    assert kinds(deployment) == {"private_v6"}
    assert not deployment.sandbox.fly.edge.is_open(captionacc.SERVER)
    secrets = deployment.sandbox.fly.state.apps[captionacc.ORCHESTRATOR].secrets
    assert secrets["PREFECT_API_URL"].value == f"{inside}/api"
    assert not deployment.github_secrets() & deployment.ours
    assert deployment.sandbox.status()["betterstack"]["monitors"] == []
    (machine,) = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines
    assert "github" not in machine.secrets["PREFECT_FLY_API_KEYS"]
    outputs = deployment.engine.outputs()
    assert outputs["proxyCommand"] == f"fly proxy 4200:80 {PRIVATE_NAME} -a {captionacc.SERVER}"
    assert outputs["serverUrl"] == inside

    changes = deployment.changes(seen)
    asked = [place for place, call in enumerate(changes) if call.endswith(f"/machines/{machine.id}/exec")]
    moved = changes.index(f"fly POST /v1/apps/{captionacc.ORCHESTRATOR}/secrets")
    released = [place for place, call in enumerate(changes) if "/ip_assignments/" in call]
    assert asked[0] < moved < asked[-1] < min(released), "asked, moved, proved, and only then the old way is closed"
    key = outputs[LOGIN_KEYS_OUTPUT]["admin"].partition(":")[2]
    assert key not in deployment.engine.state() + deployment.engine.text()

    deployment.engine.destroy()
    assert deployment.prefect_health() == "not_configured"
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
