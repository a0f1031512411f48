from __future__ import annotations

import pytest

from clients.fly.errors import (
    FlyForeignError,
    FlyUnhealthyError,
)
from sandbox.testing import Sandbox
from tests.support.fly_machines import by_hand, engine, inputs, machines, update_by_hand
from tests.support.fly_world import IMAGE, ORG, OTHER_IMAGE, OWNER, STRANGER, client_of


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def test_a_lost_state_finds_its_machine_without_restarting_it(sandbox: Sandbox) -> None:
    """Same name, same marks, same config: adopted as it runs."""
    first = engine().create(inputs())
    again = engine().create(inputs())
    assert again.outputs["machine_id"] == first.outputs["machine_id"]
    assert again.outputs["instance_id"] == first.outputs["instance_id"]
    assert len(machines(sandbox)) == 1


def test_a_machine_that_an_interrupted_run_left_unhealthy_is_not_believed(sandbox: Sandbox) -> None:
    """Found as it should be, it still has to pass its checks before it counts as made."""
    engine().create(inputs())
    script = sandbox.emulated.script(app="shop", passing=False, output="no database")
    client = client_of(sandbox)
    update_by_hand(sandbox, machines(sandbox)[0].id)
    with pytest.raises(FlyUnhealthyError, match="no database"):
        engine().create(inputs(healthy_timeout=10))
    script.passing = True
    assert engine().create(inputs()).outputs["machine_id"] == client.machines.list("shop")[0].id


def test_delete_refuses_a_machine_that_another_stack_took_over(sandbox: Sandbox) -> None:
    """The mark decides."""
    machine = engine().create(inputs())
    client = client_of(sandbox)
    client.machines.set_metadata(
        "shop", client.machines.get("shop", machine.outputs["machine_id"]), {"prefect_fly_owner": STRANGER}
    )
    with pytest.raises(FlyForeignError, match="belongs to another stack"):
        machine.delete()
    assert len(machines(sandbox)) == 1


def test_a_foreign_machine_with_our_name_is_refused(sandbox: Sandbox) -> None:
    """Neither a person's nor another stack's machine is taken without being asked to."""
    by_hand(sandbox, "shop-ewr-1")
    with pytest.raises(FlyForeignError, match=r"this stack did not make it.*fly\.adoptExisting"):
        engine().create(inputs())
    assert machines(sandbox)[0].config["image"] == IMAGE


def test_another_stack_s_machine_is_refused_also_when_adopting(sandbox: Sandbox) -> None:
    """Two stacks must not fight over one machine."""
    by_hand(sandbox, "shop-ewr-1", {"prefect_fly_owner": STRANGER})
    with pytest.raises(FlyForeignError, match="belongs to another stack"):
        engine().create(inputs(adopt=True))


def test_a_machine_made_by_fly_deploy_is_adopted_without_a_restart_when_nothing_differs(sandbox: Sandbox) -> None:
    """It keeps its name and its version and gets our marks; from then on it is the resource's."""
    env = {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr", "A": "1"}
    machine_id = by_hand(sandbox, "winter-moon-12", env=env)
    version = machines(sandbox)[0].instance_id
    machine = engine().create(inputs(adopt=True))
    assert machine.outputs["machine_id"] == machine_id
    (made,) = machines(sandbox)
    assert (made.name, made.instance_id) == ("winter-moon-12", version)
    assert made.config["metadata"]["prefect_fly_owner"] == OWNER
    assert machine.refresh()
    assert machine.up(inputs(adopt=True)) == "same"
    assert engine().create(inputs()).outputs["machine_id"] == machine_id


def test_an_adopted_machine_that_differs_is_updated_in_place(sandbox: Sandbox) -> None:
    """What the manual runbook deployed becomes what the stack states."""
    machine_id = by_hand(sandbox, "winter-moon-12", image=OTHER_IMAGE)
    assert engine().create(inputs(adopt=True)).outputs["machine_id"] == machine_id
    assert [made.config["image"] for made in machines(sandbox)] == [IMAGE]


def test_two_replicas_adopt_two_machines(sandbox: Sandbox) -> None:
    """The HA default of fly deploy makes two: each is taken once."""
    ids = {by_hand(sandbox, "one"), by_hand(sandbox, "two")}
    first = engine().create(inputs(adopt=True))
    second = engine().create(inputs(adopt=True, name="shop-ewr-2"))
    assert {first.outputs["machine_id"], second.outputs["machine_id"]} == ids
    third = engine().create(inputs(adopt=True, name="shop-ewr-3"))
    assert third.outputs["machine_id"] not in ids


def test_a_one_off_machine_is_never_adopted(sandbox: Sandbox) -> None:
    """A release command of fly deploy is not a server."""
    by_hand(sandbox, "release", {"fly_platform_version": "v2", "fly_process_group": "fly_app_release_command"})
    engine().create(inputs(adopt=True))
    assert len(machines(sandbox)) == 2


def test_what_an_interrupted_run_left_in_another_region_is_removed(sandbox: Sandbox) -> None:
    """Our name and our mark in the wrong region can only be a leftover: region is immutable."""
    engine().create(inputs())
    machine = engine().create(inputs(region="fra"))
    assert [made.id for made in machines(sandbox)] == [machine.outputs["machine_id"]]
