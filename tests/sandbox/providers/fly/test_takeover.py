"""Taking over a server that `fly deploy` made: two machines become one, and what cannot be taken is refused first."""

from __future__ import annotations

import pytest

from clients.fly.errors import FlyForeignError
from clients.fly.operations.takeover import plan
from providers.fly_app import FlyAppProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import by_hand, engine, inputs, machines
from tests.support.fly_world import ORG, OWNER, STRANGER, client_of


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def adopting_app() -> EngineSide:
    made = EngineSide(FlyAppProvider)
    return made.create({"org": ORG, "name": "shop", "owner": OWNER, "endpoints": "sandbox", "adopt_existing": True})


def test_the_second_machine_goes_once_the_first_is_ours_and_healthy(sandbox: Sandbox) -> None:
    """One is taken, the other is drained and removed after that; a refresh then finds nothing unknown."""
    kept, gone = sorted((by_hand(sandbox, "winter-moon-12"), by_hand(sandbox, "red-sun-3")))
    app = adopting_app()
    machine = engine().create(inputs(adopt=True, retire_unmarked=True))
    assert machine.outputs["machine_id"] == kept
    assert [made.id for made in machines(sandbox)] == [kept]
    calls = [(call["method"], call["path"]) for call in sandbox.journal("fly")]
    assert calls.index(("POST", f"/v1/apps/shop/machines/{kept}")) < calls.index(
        ("POST", f"/v1/apps/shop/machines/{gone}/cordon")
    )
    assert app.refresh()
    assert app.outputs["drifted"] == []


def test_a_machine_of_another_stack_is_not_removed(sandbox: Sandbox) -> None:
    """Only what no stack has marked goes."""
    theirs = by_hand(sandbox, "theirs", {"fly_process_group": "app", "prefect_fly_owner": STRANGER})
    engine().create(inputs(adopt=True, retire_unmarked=True))
    assert theirs in {made.id for made in machines(sandbox)}


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({}, "it has no process group"),
        ({"fly_process_group": "worker"}, 'it is of process group "worker"'),
    ],
)
def test_what_cannot_be_taken_is_refused_before_anything_changes(
    sandbox: Sandbox, metadata: dict[str, str], why: str
) -> None:
    """The error names the machine, the reason and the command; only reads were sent."""
    made = by_hand(sandbox, "odd-one", metadata)
    seen = len(sandbox.journal("fly"))
    with pytest.raises(FlyForeignError, match=rf'{why}.*Nothing was changed.*"fly machine destroy {made} -a shop"'):
        adopting_app()
    assert {call["method"] for call in sandbox.journal("fly")[seen:]} == {"GET"}


def test_the_plan_names_each_machine(sandbox: Sandbox) -> None:
    """People read which machine becomes which, and which go, before they run `up`."""
    first, second = sorted((by_hand(sandbox, "winter-moon-12"), by_hand(sandbox, "red-sun-3")))
    listed = client_of(sandbox).machines.list("shop")
    names = {machine.id: machine.name for machine in listed}
    assert plan(listed, [("shop-ewr-1", "ewr")]).lines() == [
        f"machine {first} ({names[first]}) becomes shop-ewr-1",
        f"machine {second} ({names[second]}) is drained and removed",
    ]
