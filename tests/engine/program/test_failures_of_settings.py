"""Settings and shells that contradict the world: refused before anything is touched."""

from __future__ import annotations

import pytest
from pulumi import automation

from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine


def test_a_missing_setting_is_named_before_anything_is_made(deployment: Deployment) -> None:
    """A required setting that is missing fails the preview with its key and how to set it."""
    deployment.configure(fly={"org": None})
    with pytest.raises(automation.CommandError, match=r"fly\.org: it is required") as caught:
        deployment.engine.preview(inline=False)
    assert "Traceback" not in str(caught.value)


def test_a_shell_pointed_at_the_wrong_world_is_refused(deployment: Deployment) -> None:
    """A sandbox stack never talks to an address that is not this machine, whatever the shell says."""
    deployment.engine.environment(FLY_FLAPS_BASE_URL="https://api.machines.dev")
    text = deployment.up_fails()
    assert "the stack states endpoints: sandbox" in text
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    deployment.engine.environment(FLY_FLAPS_BASE_URL=deployment.sandbox.env()["FLY_FLAPS_BASE_URL"])
    deployment.fixed()


def test_a_secret_somebody_else_set_is_refused_or_taken_over(deployment: Deployment) -> None:
    """A PREFECT_API_URL of somebody else's on the orchestrator stops `up`, unless the stack says takeOver."""
    deployment.sandbox.fly.set_secrets(captionacc.ORCHESTRATOR, {"PREFECT_API_URL": "https://elsewhere"})
    text = deployment.up_fails()
    assert "PREFECT_API_URL" in text
    assert "takeOver" in text
    deployment.configure(orchestrator={"takeOver": True})
    deployment.fixed()
