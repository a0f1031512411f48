"""A workflow that fails or does not exist: one clear sentence, nothing stuck."""

from __future__ import annotations

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine


def test_a_failing_workflow_run_fails_up_and_does_not_hold_the_rollback(deployment: Deployment) -> None:
    """The sentence names the run and its conclusion; fixed, `up` dispatches again; without fixing, destroy works."""
    deployment.sandbox.github.script(conclusion="failure")
    text = deployment.up_fails()
    assert "failure" in text
    assert "/actions/runs/" in text
    deployment.fixed()


def test_a_wrong_workflow_name_is_named_and_destroy_is_not_stuck(deployment: Deployment) -> None:
    """Nothing was dispatched, so the orchestrator is still in ephemeral mode and destroy needs no dispatch either."""
    deployment.configure(github={"workflow": "no-such.yml"})
    text = deployment.up_fails()
    assert "no-such.yml" in text
    assert deployment.prefect_health() == "not_configured"
    deployment.engine.destroy()
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    assert not any("dispatches" in change for change in deployment.changes())
