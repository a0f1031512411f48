"""Detaching, attaching and rotating keys while the server stays."""

from __future__ import annotations

import pytest

from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine


def test_detaching_keeps_the_server_and_attaching_brings_the_wiring_back(deployment: Deployment) -> None:
    """Settings true, false, true: the same machine throughout, a redeploy each time."""
    deployment.engine.up()
    machine = deployment.server_machine()
    deployment.configure(orchestrator={"connected": False})
    deployment.engine.up()
    assert deployment.prefect_health() == "not_configured"
    assert not deployment.github_secrets() & deployment.ours
    assert deployment.sandbox.better_stack.monitors
    deployment.configure(orchestrator={"connected": True})
    deployment.engine.up()
    assert deployment.prefect_health() == "healthy"
    assert deployment.server_machine() == machine
    dispatches = [call for call in deployment.changes() if call.endswith("/dispatches")]
    assert len(dispatches) == 3


def test_rotating_keys_keeps_the_orchestrator_healthy_and_refuses_the_old_key(deployment: Deployment) -> None:
    """Both generations are accepted before the consumers get the new one; then the old one goes."""
    deployment.engine.up()
    old = deployment.engine.outputs()["uiLogin"]
    deployment.configure(keys={"current": 2, "accepted": [1, 2]})
    deployment.engine.up()
    assert deployment.engine.outputs()["uiLogin"].startswith("admin.2:")
    assert deployment.prefect_health() == "healthy"
    deployment.configure(keys={"current": 2, "accepted": [2]})
    deployment.engine.up()
    assert deployment.prefect_health() == "healthy"
    assert deployment.engine.outputs()["keyNames"] == ["admin.2", "github.2", "orchestrator.2", "pulumi.2", "verify.2"]
    assert old not in deployment.engine.outputs()["uiLoginKeys"].values()
