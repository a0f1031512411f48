from __future__ import annotations

from typing import Any

import pytest

from clients.fly.errors import (
    FlyNotFoundError,
    FlyUnprovenError,
)
from providers.fly_machine import FlyMachineProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import engine, inputs, machines, update_by_hand
from tests.support.fly_world import ORG, OTHER_IMAGE, client_of, config
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


@pytest.mark.parametrize(
    ("changes", "drifted"),
    [
        ({"image": OTHER_IMAGE}, ["image"]),
        ({"env": {"A": "2"}}, ["env.A"]),
        ({"guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512}}, ["guest.memory_mb"]),
        ({"services": []}, ["services"]),
        ({"init": {"cmd": ["sleep", "1"]}}, ["init.cmd"]),
    ],
)
def test_what_another_tool_changed_is_named_and_fixed(
    sandbox: Sandbox, changes: dict[str, Any], drifted: list[str]
) -> None:
    """The refresh lists the path and shows the live value, twice; the next up puts ours back."""
    machine = engine().create(inputs())
    kept = {"env": {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr"} | changes["env"]} if "env" in changes else {}
    update_by_hand(sandbox, machine.outputs["machine_id"], **(changes | kept))
    assert machine.refresh()
    assert machine.outputs["drifted"] == drifted
    assert machine.inputs["config"] != EngineSide(FlyMachineProvider).check(inputs())["config"]
    assert machine.refresh()
    assert machine.up(inputs()) == "update"
    assert machine.refresh()
    assert machine.outputs["drifted"] == []
    assert machine.up(inputs()) == "same"


def test_a_machine_stopped_by_hand_is_started_without_a_new_version(sandbox: Sandbox) -> None:
    """Its state is drift; fixing it is a start, not a deploy."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.stop("shop", client.machines.get("shop", machine.outputs["machine_id"]))
    until(lambda: machines(sandbox)[0].state == "stopped")
    assert machine.refresh()
    assert machine.outputs["drifted"] == ["state: stopped"]
    before = machine.outputs["instance_id"]
    assert machine.up(inputs()) == "update"
    assert machines(sandbox)[0].state == "started"
    assert machine.outputs["instance_id"] == before


def test_a_cordon_that_was_left_is_taken_off(sandbox: Sandbox) -> None:
    """A run killed in the middle of a rolling update leaves a machine without requests: drift, and fixed."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.cordon("shop", client.machines.get("shop", machine.outputs["machine_id"]))
    assert machine.refresh()
    assert machine.outputs["drifted"] == ["cordoned"]
    assert machine.up(inputs()) == "update"
    assert not machines(sandbox)[0].cordoned


def test_a_restart_for_a_stranger_s_secret_is_no_drift(sandbox: Sandbox) -> None:
    """`fly secrets set OTHER=…` updates every machine with its own config: nothing of ours changed."""
    machine = engine().create(inputs())
    before = dict(machine.outputs)
    update_by_hand(sandbox, machine.outputs["machine_id"])
    assert machine.refresh()
    assert machine.outputs == before
    assert machine.up(inputs()) == "same"


def test_a_machine_destroyed_by_hand_is_gone_and_made_again(sandbox: Sandbox) -> None:
    """Refresh drops it; without the refresh an update says what to do; delete is fine with it."""
    machine = engine().create(inputs())
    again = EngineSide(FlyMachineProvider, id=machine.id, inputs=machine.inputs, outputs=machine.outputs)
    client = client_of(sandbox)
    client.machines.destroy("shop", client.machines.get("shop", machine.outputs["machine_id"]))
    until(lambda: not machines(sandbox))
    with pytest.raises(FlyNotFoundError, match="pulumi up --refresh"):
        machine.up(inputs(config=config(image=OTHER_IMAGE)))
    assert not machine.refresh()
    again.delete()
    machine.create(inputs())
    assert len(machines(sandbox)) == 1


def test_another_token_does_not_make_a_machine_gone(sandbox: Sandbox) -> None:
    """With its app gone, only a token of the organization proves it."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.destroy("shop", client.machines.get("shop", machine.outputs["machine_id"]))
    until(lambda: not machines(sandbox))
    client.apps.delete("shop")
    client.apps.wait_gone("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLY_API_TOKEN", sandbox.fly.state.add_token("somebody-else").value)
        for act in (machine.refresh, machine.delete):
            with pytest.raises(FlyUnprovenError):
                act()
    assert not machine.refresh()
