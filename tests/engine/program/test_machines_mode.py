"""`redeploy: machines` and `rollback: machines`: the orchestrator gets its secrets through Fly alone."""

from __future__ import annotations

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine


def test_machines_mode_connects_and_rolls_back_without_github_running_anything(deployment: Deployment) -> None:
    """The orchestrator's machine stays, is updated under lease with the config it has, and nothing is dispatched."""
    deployment.configure(orchestrator={"redeploy": "machines", "rollback": "machines"})
    (machine,) = deployment.sandbox.fly.state.apps[captionacc.ORCHESTRATOR].live_machines
    identity, first, config = machine.id, machine.instance_id, dict(machine.config)
    deployment.engine.up()
    assert deployment.prefect_health() == "healthy"
    connected = machine.instance_id
    assert connected != first
    assert {"PREFECT_API_URL", "PREFECT_API_KEY"} <= set(machine.secrets)
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}

    deployment.engine.destroy()
    assert deployment.prefect_health() == "not_configured"
    (left,) = deployment.sandbox.fly.state.apps[captionacc.ORCHESTRATOR].live_machines
    assert (left.id, left.config, left.lease) == (identity, config, None)
    assert left.instance_id != connected
    assert not set(left.secrets) & deployment.ours
    assert "SUPABASE_SERVICE_KEY" in left.secrets
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    changes = deployment.changes()
    assert not [call for call in changes if call.endswith("/dispatches")]
    route = f"/v1/apps/{captionacc.ORCHESTRATOR}/machines/{identity}"
    assert [call for call in changes if route in call] == [
        f"fly POST {route}/lease",
        f"fly POST {route}",
        f"fly DELETE {route}/lease",
    ] * 2
