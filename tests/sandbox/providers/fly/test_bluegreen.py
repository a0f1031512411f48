"""An update that makes the new machine beside the old one: what is made, and what a failure leaves."""

from __future__ import annotations

from typing import Any

import pytest

from clients.fly.errors import FlyCapacityError, FlyForeignError, FlyUnhealthyError
from sandbox.testing import Sandbox
from tests.support import fly_machines
from tests.support.fly_machines import by_hand, engine, machines, one_machine
from tests.support.fly_world import IMAGE, ORG, OTHER_IMAGE, client_of, config


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def inputs(**changes: Any) -> dict[str, Any]:
    return fly_machines.inputs(strategy="bluegreen", **changes)


NEW = inputs(config=config(image=OTHER_IMAGE))


def test_the_new_machine_serves_before_the_old_one_goes(sandbox: Sandbox) -> None:
    """One machine before and after, the resource's id and the label stay, the two names take turns."""
    machine = engine().create(inputs())
    identity, before = machine.id, dict(machine.outputs)
    assert machine.up(NEW) == "update"
    second = one_machine(sandbox, machine, OTHER_IMAGE)
    assert (machine.id, second.name) == (identity, "shop-ewr-1-b")
    assert second.config["metadata"]["prefect_fly_name"] == "shop-ewr-1"
    assert machine.outputs["revision"] != before["revision"]
    calls = [(call["method"], call["path"].rsplit("/", 1)[-1]) for call in sandbox.journal("fly")]
    made = [place for place, call in enumerate(calls) if call == ("POST", "machines")][-1]
    assert made < calls.index(("POST", "cordon")) < calls.index(("POST", "stop"))
    assert machine.up(NEW) == "same"
    assert machine.up(inputs()) == "update"
    assert one_machine(sandbox, machine, IMAGE).name == "shop-ewr-1"


def test_secrets_reach_the_new_machine(sandbox: Sandbox) -> None:
    """It is made with the version that the update asks for."""
    machine = engine().create(inputs())
    version = client_of(sandbox).secrets.write("shop", {"A_SECRET": "fresh"}).version
    assert machine.up(inputs(min_secrets_version=version, secrets_fingerprint="f2")) == "update"
    assert one_machine(sandbox, machine, IMAGE).secrets["A_SECRET"] == "fresh"


def test_a_failure_removes_the_new_machine_and_the_old_one_never_notices(sandbox: Sandbox) -> None:
    """It was not even cordoned; the error says so, names the secret that changed, and the state is still true."""
    machine = engine().create(inputs())
    before = dict(machine.outputs)
    version = client_of(sandbox).secrets.write("shop", {"DATABASE_URL": "wrong"}).version
    sandbox.emulated.script(image="b" * 64, passing=False, output="no such table", lines=("migrate first",))
    with pytest.raises(FlyUnhealthyError) as caught:
        machine.up(NEW | {"min_secrets_version": version, "secrets_fingerprint": "f2", "healthy_timeout": 20})
    text = str(caught.value)
    assert text.startswith('could not update machine "shop-ewr-1" of app "shop": check')
    for part in ("no such table", "The new machine was removed; the old one was not touched", "DATABASE_URL changed"):
        assert part in text
    assert "migrate first" in text
    assert machine.outputs == before
    one_machine(sandbox, machine, IMAGE)
    assert {"cordon", "stop"}.isdisjoint(call["path"].rsplit("/", 1)[-1] for call in sandbox.journal("fly"))
    assert machine.up(inputs()) == "same"


def test_no_room_for_a_second_machine_names_the_other_strategy(sandbox: Sandbox) -> None:
    """A region without capacity still lets a machine be updated in place."""
    machine = engine().create(inputs())
    sandbox.fly.trouble.no_capacity()
    with pytest.raises(FlyCapacityError, match=r"vm\.strategy: rolling"):
        machine.up(NEW)
    one_machine(sandbox, machine, IMAGE)


def test_a_name_that_somebody_else_has_is_left_alone(sandbox: Sandbox) -> None:
    """The machine of that name is not touched, and the sentence says how to go on."""
    machine = engine().create(inputs())
    theirs = by_hand(sandbox, "shop-ewr-1-b")
    with pytest.raises(FlyForeignError, match=f"fly machine destroy {theirs}"):
        machine.up(NEW)
    assert {made.id for made in machines(sandbox)} == {theirs, machine.outputs["machine_id"]}
    assert all("prefect_fly_successor" not in made.config["metadata"] for made in machines(sandbox))


def test_a_machine_made_by_hand_is_taken_over_without_a_gap(sandbox: Sandbox) -> None:
    """One that differs is replaced by ours, which gets our name."""
    by_hand(sandbox, "winter-moon-12", image=OTHER_IMAGE)
    machine = engine().create(inputs(adopt=True))
    assert one_machine(sandbox, machine, IMAGE).name == "shop-ewr-1"
