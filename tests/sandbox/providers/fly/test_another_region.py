"""A machine in another region, which is another resource: the edge reaches it before the old one goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clients.fly.errors import FlyUnhealthyError
from clients.fly.operations import reaching
from providers.fly_app import FlyAppProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_machines import engine, inputs, machines
from tests.support.fly_world import ORG, OWNER

MOVED = inputs(name="shop-fra-1", region="fra")


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> EngineSide:
    return EngineSide(FlyAppProvider).create(
        {"org": ORG, "name": "shop", "owner": OWNER, "endpoints": "sandbox", "adopt_existing": False}
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], str]], list[str]]:
    """Put an edge there that answers as a test says, and return the list of machines that it was asked for."""

    def edge(answer: Callable[[str], str]) -> list[str]:
        ids: list[str] = []

        def probe(machine_id: str) -> str:
            ids.append(machine_id)
            return answer(machine_id)

        monkeypatch.setattr("providers.fly_machine_state._probe", lambda _known: probe)
        return ids

    return edge


def test_the_old_machine_goes_when_the_edge_has_reached_the_new_one(sandbox: Sandbox, asked: Any) -> None:
    """The new one is made, healthy and reached; then the old one is cordoned, stopped and destroyed, in this order."""
    old = engine().create(inputs())
    first = old.outputs["machine_id"]
    misses = iter(["not known here", "not known here"])
    ids = asked(lambda machine_id: "" if machine_id == first else next(misses, ""))
    new = engine().create(MOVED)
    assert ids == [first, *[new.outputs["machine_id"]] * 3]
    assert [machine.cordoned for machine in machines(sandbox)] == [False, False]
    old.delete()
    (left,) = machines(sandbox)
    assert (left.region, left.name) == ("fra", "shop-fra-1")
    calls = [(call["method"], call["path"].rpartition("/machines")[2]) for call in sandbox.journal("fly")]
    made = max(place for place, call in enumerate(calls) if call == ("POST", ""))
    ways = (("POST", f"/{first}/cordon"), ("POST", f"/{first}/stop"), ("DELETE", f"/{first}"))
    steps = [made, *(calls.index(way) for way in ways)]
    assert steps == sorted(steps)


def test_one_that_the_edge_does_not_reach_is_removed(
    sandbox: Sandbox, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one was not touched: it serves as before."""
    old = engine().create(inputs())
    first = old.outputs["machine_id"]
    asked(lambda machine_id: "" if machine_id == first else "not known here")
    monkeypatch.setattr(reaching, "REACHED_WITHIN", 1.0)
    with pytest.raises(FlyUnhealthyError, match=r'could not create machine "shop-fra-1".*but not known here'):
        engine().create(MOVED)
    (left,) = machines(sandbox)
    assert (left.id, left.cordoned, left.state) == (first, False, "started")
    # It had begun to serve, so it may end what it has.
    assert [call["path"].rpartition("/")[2] for call in sandbox.journal("fly")].count("stop") == 1


def test_nobody_waits_for_an_edge_that_reaches_nothing_yet(asked: Any) -> None:
    """The first machine of an app, and a second one while its name leads nowhere yet."""
    ids = asked(lambda _machine_id: "the name is not known")
    first = engine().create(inputs())
    assert ids == []
    engine().create(MOVED)
    assert ids == [first.outputs["machine_id"]]
