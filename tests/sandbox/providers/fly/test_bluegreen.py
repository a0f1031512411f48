"""An update that makes the new machine beside the old one: what is made, what a failure leaves, what a kill leaves."""

from __future__ import annotations

from typing import Any

import pytest

from clients.fly.errors import FlyCapacityError, FlyForeignError, FlyUnhealthyError
from clients.fly.model import MachineRequest
from clients.transport import Transport
from providers.fly_app import FlyAppProvider
from sandbox.fly.models import Machine
from sandbox.testing import Sandbox
from tests.support import fly_machines
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import by_hand, engine, machines
from tests.support.fly_world import IMAGE, ORG, OTHER_IMAGE, OWNER, client_of, config


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> EngineSide:
    inputs = {"org": ORG, "name": "shop", "owner": OWNER, "endpoints": "sandbox", "adopt_existing": False}
    return EngineSide(FlyAppProvider).create(inputs)


def inputs(**changes: Any) -> dict[str, Any]:
    return fly_machines.inputs(strategy="bluegreen", **changes)


NEW = inputs(config=config(image=OTHER_IMAGE))


class Kill(BaseException):
    """The process is gone: nothing catches this, and no call is made after it."""


class Life:
    """Lets a number of calls through, then kills: the last call has its effect, and its answer is never seen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
        self._patch, self._left, self._send = monkeypatch, calls, Transport.send

    def __enter__(self) -> None:
        def send(transport: Transport, call: Any) -> Any:
            if self._left <= 0:
                raise Kill
            self._left -= 1
            reply = self._send(transport, call)
            if self._left == 0:
                raise Kill
            return reply

        self._patch.setattr(Transport, "send", send)

    def __exit__(self, *_: object) -> None:
        self._patch.setattr(Transport, "send", self._send)


def serves(machine: Machine) -> bool:
    passing = all(check.status == "passing" for check in machine.checks.values())
    return machine.state == "started" and not machine.cordoned and bool(machine.checks) and passing


def forget_leases(sandbox: Sandbox) -> None:
    """What a killed run leased runs out after a minute."""
    for machine in machines(sandbox):
        machine.lease = None


def one_machine(sandbox: Sandbox, machine: EngineSide, image: str) -> Machine:
    """Return the only machine; fail unless it is what the state says, with `image`, and serves."""
    (made,) = machines(sandbox)
    assert made.id == machine.outputs["machine_id"]
    assert made.instance_id == machine.outputs["instance_id"]
    assert made.config["image"] == image
    assert serves(made)
    assert "prefect_fly_successor" not in made.config["metadata"]
    assert machine.refresh()
    assert machine.outputs["drifted"] == []
    return made


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


def writes_of_an_update(sandbox: Sandbox) -> list[int]:
    """Return which calls of an undisturbed update change something: killed after another one, nothing is different."""
    machine = engine().create(inputs())
    before = len(sandbox.journal("fly"))
    machine.up(NEW)
    machine.delete()
    calls = sandbox.journal("fly")[before:]
    return [number for number, call in enumerate(calls, 1) if call["method"] != "GET"]


@pytest.mark.parametrize("then", ["up", "back", "destroy"])
def test_a_run_that_is_killed_at_any_point_leaves_what_the_next_one_finishes(
    sandbox: Sandbox, app: EngineSide, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """After each call: somebody serves, the pair is not taken for strangers, and the next run leaves one or none."""
    writes = writes_of_an_update(sandbox)
    assert len(writes) > 6
    for calls in writes[:-3]:  # the last ones are those of the delete
        machine = engine().create(inputs())
        with Life(monkeypatch, calls), pytest.raises(Kill):
            machine.up(NEW)
        assert any(serves(made) for made in machines(sandbox)), calls
        assert app.refresh()
        assert app.outputs["drifted"] == [], calls
        forget_leases(sandbox)
        if then != "destroy":
            finish(sandbox, machine, then)
        machine.delete()
        assert machines(sandbox) == [], calls


def finish(sandbox: Sandbox, machine: EngineSide, then: str) -> None:
    """Run again, as a person would after a kill: with the same program, or with the one of before."""
    if then == "back":
        assert machine.refresh()
        machine.up(inputs())
        one_machine(sandbox, machine, IMAGE)
    else:
        machine.up(NEW)
        one_machine(sandbox, machine, OTHER_IMAGE)


def test_a_clone_that_is_made_during_an_update_is_a_stranger(
    sandbox: Sandbox, app: EngineSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It copies every mark along, also the one that names the successor."""
    machine = engine().create(inputs())
    kill = Life(monkeypatch, 7)
    with kill, pytest.raises(Kill):
        machine.up(NEW)
    client = client_of(sandbox)
    (marked,) = [m for m in client.machines.list("shop") if m.metadata.get("prefect_fly_successor")]
    cloned = client.machines.create("shop", MachineRequest(name="dry-sea-9", region="ewr", config=marked.config))
    assert client.machines.wait("shop", cloned, "started", seconds=60)
    assert app.refresh()
    assert app.outputs["drifted"] == [f"machine {cloned.id} (dry-sea-9): unknown to this stack"]
    forget_leases(sandbox)
    assert machine.up(NEW) == "update"
    assert {m.name for m in machines(sandbox)} == {"shop-ewr-1-b", "dry-sea-9"}
    assert app.refresh()
    assert app.outputs["drifted"] == [f"machine {cloned.id} (dry-sea-9): unknown to this stack"]
