"""How many calls a stack costs: Fly allows one a second for each action and app."""

from __future__ import annotations

from typing import Any

import pytest

from providers.fly_app import FlyAppProvider
from providers.fly_ip_address import FlyIpAddressProvider
from providers.fly_machine import FlyMachineProvider
from providers.fly_secrets import FlySecretsProvider
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import ORG, OWNER, client_of, config, write_by_hand

WORLD: dict[str, Any] = {"endpoints": "sandbox"}


def stack(machines: int) -> list[tuple[EngineSide, dict[str, Any]]]:
    """Return every Fly resource of a stack with so many machines, not created yet, with its inputs."""
    resources: list[tuple[EngineSide, dict[str, Any]]] = [
        (EngineSide(FlyAppProvider), WORLD | {"org": ORG, "name": "shop", "owner": OWNER, "adopt_existing": False}),
        (EngineSide(FlyIpAddressProvider), WORLD | {"app": "shop", "kind": "shared_v4"}),
        (EngineSide(FlyIpAddressProvider), WORLD | {"app": "shop", "kind": "v6"}),
        (EngineSide(FlySecretsProvider), WORLD | {"app": "shop", "owner": OWNER, "values": {"A": "1"}}),
        (EngineSide(FlySecretsProvider), WORLD | {"app": "orchestrator", "owner": OWNER, "values": {"B": "1"}}),
    ]
    for number in range(1, machines + 1):
        machine: dict[str, Any] = {
            "app": "shop",
            "name": f"shop-ewr-{number}",
            "region": "ewr",
            "owner": OWNER,
            "config": config(),
        }
        resources.append((EngineSide(FlyMachineProvider), WORLD | machine | {"config": config()}))
    return resources


def answered(sandbox: Sandbox) -> int:
    """Count the calls that were not refused: by-hand calls and ours together may come too fast."""
    return sum(call["status"] == 200 for call in sandbox.journal("fly"))


@pytest.mark.parametrize("machines", [1, 5])
def test_a_refresh_that_finds_nothing_costs_five_calls_and_one_for_each_machine(
    sandbox: Sandbox, machines: int
) -> None:
    """All of them GETs, none refused by the rate limit, and nothing changes."""
    client_of(sandbox).apps.create("orchestrator", ORG)
    resources = [(side.create(inputs), inputs) for side, inputs in stack(machines)]
    before = len(sandbox.journal("fly"))
    for side, inputs in resources:
        assert side.refresh()
        assert side.up(inputs) == "same"
    calls = sandbox.journal("fly")[before:]
    assert len(calls) <= 5 + machines
    assert {(call["method"], call["status"]) for call in calls} == {("GET", 200)}


def test_the_whole_life_of_a_stack_never_hits_a_rate_limit(sandbox: Sandbox) -> None:
    """Create, update of two machines, rotation of a secret, destroy, under Fly's documented limits: no 429."""
    client_of(sandbox).apps.create("orchestrator", ORG)
    resources = [(side.create(inputs), inputs) for side, inputs in stack(2)]
    for side, inputs in resources:
        if side.provider_class is FlyMachineProvider:
            side.up(inputs | {"config": config(env={"A": "2"})})
        if side.provider_class is FlySecretsProvider:
            side.up(inputs | {"values": {"A": "2"}})
    for side, _ in reversed(resources):
        side.delete()
    assert "shop" not in sandbox.fly.state.apps
    assert 429 not in {call["status"] for call in sandbox.journal("fly")}


def test_what_lies_in_one_list_is_read_in_one_call_and_a_difference_is_looked_at_again(sandbox: Sandbox) -> None:
    """Two addresses and two sets of secrets: one call each; then the set that was changed by hand costs one more."""
    client_of(sandbox).apps.create("shop", ORG)
    kinds = [
        EngineSide(FlyIpAddressProvider).create(WORLD | {"app": "shop", "kind": kind}) for kind in ("v6", "shared_v4")
    ]
    values = {f"{OWNER}_a": {"A": "1"}, f"{OWNER}_b": {"B": "1"}}
    sets = [
        EngineSide(FlySecretsProvider).create(WORLD | {"app": "shop", "owner": owner, "values": named})
        for owner, named in values.items()
    ]
    # By now the list shows what was written a moment ago, whichever version is asked for.
    write_by_hand(sandbox, "shop", {"C": "1"})
    before = answered(sandbox)
    assert all(side.refresh() for side in kinds + sets)
    assert answered(sandbox) == before + 2
    write_by_hand(sandbox, "shop", {"B": "2"})
    before = answered(sandbox)
    assert all(side.refresh() for side in sets)
    assert [side.outputs["drifted"] for side in sets] == [[], ["B: changed"]]
    assert answered(sandbox) == before + 2
