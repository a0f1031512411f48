"""A state that is lost: docs/state.md says what to type, and this is what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment
from tests.support.engine import Engine
from tests.support.stub_world import stack_config

pytestmark = [pytest.mark.engine, pytest.mark.long]


def test_up_takes_its_own_objects_back_into_an_empty_state(deployment: Deployment, tmp_path: Path) -> None:
    """The same stack on a new backend adopts what it had made, with new keys, and destroy rolls back."""
    deployment.engine.up()
    addresses = deployment.sandbox.status()["fly"]["apps"]
    login = deployment.engine.outputs()["uiLogin"]
    again = Deployment(deployment.sandbox, Engine(tmp_path / "new-backend", deployment.sandbox.env()))
    again.engine.set(stack_config(deployment.sandbox))
    again.engine.up()
    # Its keys are new, so one beside it took its place, and it is gone.
    assert len(again.sandbox.fly.state.apps[captionacc.SERVER].live_machines) == 1
    assert [app["ips"] for app in again.sandbox.status()["fly"]["apps"]] == [app["ips"] for app in addresses]
    assert again.prefect_health() == "healthy"
    assert again.engine.outputs()["uiLogin"] != login
    assert len(again.sandbox.better_stack.monitors) == 1
    assert again.engine.preview(expect_no_changes=True) == {}
    again.engine.destroy()
    assert again.prefect_health() == "not_configured"
    assert again.app_names() == [captionacc.ORCHESTRATOR]
    assert not again.github_secrets() & again.ours
