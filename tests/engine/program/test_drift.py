"""What was changed by hand is named and fixed."""

from __future__ import annotations

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine


def test_drift_is_named_and_fixed(deployment: Deployment) -> None:
    """A machine changed by hand, a changed secret and a paused monitor show in a refreshed preview, and are undone."""
    deployment.engine.up()
    machine = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines[0]
    env = {**machine.config["env"], "PREFECT_LOGGING_LEVEL": "DEBUG"}
    deployment.sandbox.run(deployment.sandbox.fly.update_machine(machine, config={**machine.config, "env": env}))
    deployment.sandbox.fly.set_secrets(captionacc.ORCHESTRATOR, {"PREFECT_API_URL": "https://elsewhere"})
    deployment.sandbox.fly.set_secrets(captionacc.ORCHESTRATOR, {"SOMEBODY_ELSES": "x"})
    (monitor,) = deployment.sandbox.better_stack.monitors.values()
    monitor.attributes["paused"] = True
    seen = len(deployment.engine.text())
    assert deployment.engine.preview(refresh=True, diff=True)
    assert "- paused" in deployment.engine.text()[seen:]
    deployment.engine.up(refresh=True)
    assert monitor.status != "paused"
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}
    assert (
        "PREFECT_LOGGING_LEVEL"
        not in deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines[0].config["env"]
    )
    assert deployment.prefect_health() == "healthy"
    assert "SOMEBODY_ELSES" in deployment.secret_names(captionacc.ORCHESTRATOR)
