"""Machines on our app that the stack does not know: seen as drift, and refused."""

from __future__ import annotations

import pytest

from clients.fly.errors import FlyForeignError
from clients.fly.model import MachineRequest
from providers.fly_app import FlyAppProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import by_hand, engine, inputs
from tests.support.fly_world import ORG, OWNER, STRANGER, client_of


def app_inputs(**changes: object) -> dict[str, object]:
    return {"org": ORG, "name": "shop", "owner": OWNER, "endpoints": "sandbox", "adopt_existing": False} | changes


@pytest.fixture
def app(sandbox: Sandbox) -> EngineSide:
    """One app with one machine, both ours."""
    made = EngineSide(FlyAppProvider).create(app_inputs())
    engine().create(inputs())
    assert made.refresh()
    assert made.outputs["drifted"] == []
    return made


def clone(sandbox: Sandbox) -> str:
    """Copy our machine as `fly machine clone` does: config and metadata, our marks among them, under a new name."""
    client = client_of(sandbox)
    original = client.machines.list("shop")[0]
    request = MachineRequest(name="young-glade-42", region="ewr", config=original.config)
    machine = client.machines.create("shop", request)
    assert client.machines.wait("shop", machine, "started", seconds=60)
    return machine.id


def test_a_clone_is_drift_although_it_carries_our_marks(sandbox: Sandbox, app: EngineSide) -> None:
    """It is named, `up` is refused with the command that removes it, and our own machine is not in that command."""
    ours = client_of(sandbox).machines.list("shop")[0].id
    cloned = clone(sandbox)
    assert app.refresh()
    assert app.outputs["drifted"] == [f"machine {cloned} (young-glade-42): unknown to this stack"]
    assert app.diff(app_inputs()).changes
    with pytest.raises(FlyForeignError, match=rf'"fly machine destroy --force {cloned} -a shop"') as refused:
        app.up(app_inputs())
    assert ours not in str(refused.value)
    client = client_of(sandbox)
    client.machines.destroy("shop", client.machines.get("shop", cloned))
    assert app.refresh()
    assert app.up(app_inputs()) == "same"


@pytest.mark.parametrize("metadata", [{}, {"prefect_fly_owner": STRANGER, "prefect_fly_name": "shop-ewr-1"}])
def test_a_machine_without_our_mark_is_drift(sandbox: Sandbox, app: EngineSide, metadata: dict[str, str]) -> None:
    """One of `fly scale count` carries no mark, one of another stack that stack's."""
    marks = {"fly_platform_version": "v2", "fly_process_group": "app"} | metadata
    made = by_hand(sandbox, "late-dew-7", metadata=marks)
    assert app.refresh()
    assert app.outputs["drifted"] == [f"machine {made} (late-dew-7): unknown to this stack"]
    with pytest.raises(FlyForeignError, match="this stack does not know"):
        app.up(app_inputs())


def test_a_machine_that_is_about_to_be_adopted_does_not_stop_up(sandbox: Sandbox, app: EngineSide) -> None:
    """With fly.adoptExisting a killed `up` may leave the app ours and its machines not yet taken."""
    by_hand(sandbox, "from-the-runbook")
    assert app.refresh()
    assert app.up(app_inputs(adopt_existing=True)) == "update"


def test_machines_that_end_by_themselves_are_nobodys_business(sandbox: Sandbox, app: EngineSide) -> None:
    """A console or a one-off machine goes by itself and serves nothing."""
    by_hand(sandbox, "console", metadata={"fly_process_group": "fly_app_console"}, auto_destroy=True)
    assert app.refresh()
    assert app.outputs["drifted"] == []
