"""An update that is killed, or whose call goes on alone: what it leaves, and what the next run makes of it."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from clients.fly.model import MachineRequest
from clients.transport import Transport
from providers.fly_app import FlyAppProvider
from sandbox.testing import Sandbox
from tests.support import fly_machines
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import engine, machines, one_machine, serves
from tests.support.fly_world import IMAGE, ORG, OTHER_IMAGE, OWNER, client_of, config
from tests.support.waiting import until

STRATEGIES = ["bluegreen", "rolling"]


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> EngineSide:
    inputs = {"org": ORG, "name": "shop", "owner": OWNER, "endpoints": "sandbox", "adopt_existing": False}
    return EngineSide(FlyAppProvider).create(inputs)


def inputs(strategy: str, image: str = IMAGE, **changes: Any) -> dict[str, Any]:
    return fly_machines.inputs(strategy=strategy, config=config(image=image, **changes))


class Kill(BaseException):
    """The process is gone: nothing catches this, and no call is made after it."""


class Life:
    """Lets a number of writes through, then kills: the last one has its effect, and its answer is never seen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
        self._patch, self.left, self._send = monkeypatch, writes, Transport.send

    def __enter__(self) -> Life:
        def send(transport: Transport, call: Any) -> Any:
            if self.left <= 0:
                raise Kill
            self.left -= call.method != "GET"
            reply = self._send(transport, call)
            if self.left == 0:
                raise Kill
            return reply

        self._patch.setattr(Transport, "send", send)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.setattr(Transport, "send", self._send)


def shorten_leases(sandbox: Sandbox) -> None:
    """What a killed run leased runs out after seconds, not after a minute; until then the next run meets it."""
    for machine in machines(sandbox):
        if machine.lease:
            machine.lease.expires_at = sandbox.clock.time() + 5


def writes_of_an_update(sandbox: Sandbox, strategy: str) -> int:
    """Return how many calls of an undisturbed update change something."""
    machine = engine().create(inputs(strategy))
    before = len(sandbox.journal("fly"))
    machine.up(inputs(strategy, OTHER_IMAGE))
    calls = sandbox.journal("fly")[before:]
    machine.delete()
    return sum(call["method"] != "GET" for call in calls)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("then", ["up", "back", "destroy"])
def test_a_run_that_is_killed_at_any_point_leaves_what_the_next_one_finishes(
    sandbox: Sandbox, app: EngineSide, monkeypatch: pytest.MonkeyPatch, strategy: str, then: str
) -> None:
    """After each write: the pair is not taken for strangers, a lease is waited for, and one or none is left.

    Where the new machine is made beside the old one, somebody serves all the time.
    """
    killed = 0
    for writes in range(1, writes_of_an_update(sandbox, strategy) + 1):
        machine = engine().create(inputs(strategy))
        # On a slow machine a lease is renewed, so that not every run has as many.
        with Life(monkeypatch, writes) as life, suppress(Kill):
            machine.up(inputs(strategy, OTHER_IMAGE))
        killed += life.left == 0
        assert strategy == "rolling" or any(serves(made) for made in machines(sandbox)), writes
        assert app.refresh()
        assert app.outputs["drifted"] == [], writes
        shorten_leases(sandbox)
        if then != "destroy":
            finish(sandbox, machine, strategy, then)
        machine.delete()
        assert machines(sandbox) == [], writes
    assert killed > 3


def finish(sandbox: Sandbox, machine: EngineSide, strategy: str, then: str) -> None:
    """Run again, as a person would after a kill: with the same program, or with the one of before."""
    if then == "back":
        assert machine.refresh()
    image = IMAGE if then == "back" else OTHER_IMAGE
    machine.up(inputs(strategy, image))
    one_machine(sandbox, machine, image)


def test_a_machine_that_a_left_over_call_replaces_meanwhile_is_its_successor(sandbox: Sandbox) -> None:
    """The provider of a killed engine goes on with its call; the next run waits for its lease, and goes on then."""
    slow: dict[str, Any] = {"stop_config": {"timeout": "20s"}}
    sandbox.emulated.script(image="a" * 64, ignores_signals=True)
    machine = engine().create(inputs("bluegreen", **slow))
    wanted = inputs("bluegreen", OTHER_IMAGE, **slow)
    left_over = threading.Thread(target=replace(machine).up, args=[wanted])
    left_over.start()
    until(lambda: any(made.state == "stopping" for made in machines(sandbox)))
    assert machine.up(wanted) == "update"
    left_over.join()
    one_machine(sandbox, machine, OTHER_IMAGE)


def test_a_machine_that_a_killed_run_told_to_end_is_let_end(sandbox: Sandbox) -> None:
    """It works on what it has taken; to destroy it at once would lose that."""
    sandbox.emulated.script(image="a" * 64, ignores_signals=True)
    machine = engine().create(inputs("rolling", stop_config={"timeout": "20s"}))
    client = client_of(sandbox)
    client.machines.stop("shop", client.machines.get("shop", machine.outputs["machine_id"]))
    before = len(sandbox.journal("fly"))
    machine.delete()
    calls = [(call["method"], call["path"].rsplit("/", 1)[-1]) for call in sandbox.journal("fly")[before:]]
    assert calls.index(("GET", "wait")) < [method for method, _ in calls].index("DELETE")
    assert machines(sandbox) == []


def test_a_clone_that_is_made_during_an_update_is_a_stranger(
    sandbox: Sandbox, app: EngineSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It copies every mark along, also the one that names the successor."""
    machine = engine().create(inputs("bluegreen"))
    wanted = inputs("bluegreen", OTHER_IMAGE)
    with Life(monkeypatch, 3), pytest.raises(Kill):
        machine.up(wanted)
    client = client_of(sandbox)
    (marked,) = [m for m in client.machines.list("shop") if m.metadata.get("prefect_fly_successor")]
    cloned = client.machines.create("shop", MachineRequest(name="dry-sea-9", region="ewr", config=marked.config))
    assert client.machines.wait("shop", cloned, "started", seconds=60)
    assert app.refresh()
    assert app.outputs["drifted"] == [f"machine {cloned.id} (dry-sea-9): unknown to this stack"]
    shorten_leases(sandbox)
    assert machine.up(wanted) == "update"
    assert {m.name for m in machines(sandbox)} == {"shop-ewr-1-b", "dry-sea-9"}
    assert app.refresh()
    assert app.outputs["drifted"] == [f"machine {cloned.id} (dry-sea-9): unknown to this stack"]
