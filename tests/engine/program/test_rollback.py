"""Destroy is the rollback: its order, and what it does when its own run fails."""

from __future__ import annotations

import json

import pytest

import toolchain
from sandbox import captionacc
from tests.engine.program.conftest import Deployment
from toolchain.places import BIN

pytestmark = pytest.mark.engine


def test_up_is_quiet_afterwards_and_destroy_rolls_back_in_order(deployment: Deployment) -> None:
    """Up proves the orchestrator; previews are empty; destroy unsets, redeploys, waits, and only then removes."""
    strangers = deployment.secret_names(captionacc.ORCHESTRATOR)
    deployment.engine.up()
    assert deployment.prefect_health() == "healthy"
    assert deployment.github_secrets() >= deployment.ours
    assert deployment.engine.preview(expect_no_changes=True) == {}
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}
    machine, seen = deployment.server_machine(), len(deployment.sandbox.journal())
    deployment.sandbox.github.repositories["captionacc/captionacc"].vault.secrets.pop("PREFECT_API_KEY")
    deployment.engine.destroy()
    order = deployment.changes(seen)
    dispatch = next(index for index, call in enumerate(order) if call.endswith("/dispatches"))
    unset = [index for index, call in enumerate(order) if "actions/secrets/" in call or "orchestrator/secrets" in call]
    assert unset
    assert max(unset) < dispatch
    first_of_server = next(index for index, call in enumerate(order) if f"machines/{machine}" in call)
    assert dispatch < first_of_server
    for later in ("/secrets", "/ip_assignments/", ""):
        fitting = [i for i, call in enumerate(order) if f"/apps/{captionacc.SERVER}{later}" in call]
        assert max(fitting) > first_of_server
    assert order[-1] == f"fly DELETE /v1/apps/{captionacc.SERVER}"
    assert deployment.prefect_health() == "not_configured"
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    assert deployment.secret_names(captionacc.ORCHESTRATOR) == strangers
    assert not deployment.github_secrets() & deployment.ours
    assert not deployment.sandbox.better_stack.monitors
    assert deployment.engine.resources() == []


def test_a_workflow_run_is_followed_to_its_end_before_anything_is_removed(deployment: Deployment) -> None:
    """While the rollback's run is under way the server still answers; a failing one leaves the server up."""
    deployment.engine.up()
    deployment.sandbox.github.script(conclusion="failure")
    with pytest.raises(Exception, match="failure"):
        deployment.engine.destroy()
    assert captionacc.SERVER in deployment.app_names()
    assert not deployment.secret_names(captionacc.ORCHESTRATOR) & deployment.ours
    assert deployment.sandbox.better_stack.monitors
    deployment.engine.destroy()
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]


def test_stand_ins_refuse_a_real_destroy_before_anything_is_undone(deployment: Deployment) -> None:
    """A destroy of a state of `--endpoints real` ends at its first step: nothing is called, every secret is there."""
    if toolchain.ensure().parent != BIN:
        pytest.skip("an official CLI is on PATH, so no stand-in is in use")
    deployment.engine.up()
    real = deployment.engine.state().replace("--endpoints sandbox", "--endpoints real")
    deployment.engine.restore({"version": 3, "deployment": json.loads(real)["checkpoint"]["latest"]})
    seen = len(deployment.sandbox.journal())
    with pytest.raises(Exception, match="could not use the stand-in for Pulumi's command plugin"):
        deployment.engine.destroy()
    assert deployment.changes(seen) == []
    assert deployment.prefect_health() == "healthy"
    assert deployment.github_secrets() >= deployment.ours
    kinds = [resource["urn"].rpartition("::")[2] for resource in deployment.engine.resources()]
    assert f"{captionacc.ORCHESTRATOR}-verify" in kinds
