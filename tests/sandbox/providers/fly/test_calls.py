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
from tests.support.fly_world import ORG, OWNER, client_of, config

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


@pytest.mark.parametrize("machines", [1, 5])
def test_a_refresh_that_finds_nothing_costs_six_calls_and_one_for_each_machine(sandbox: Sandbox, machines: int) -> None:
    """All of them GETs, none refused by the rate limit, and nothing changes."""
    client_of(sandbox).apps.create("orchestrator", ORG)
    resources = [(side.create(inputs), inputs) for side, inputs in stack(machines)]
    before = len(sandbox.journal("fly"))
    for side, inputs in resources:
        assert side.refresh()
        assert side.up(inputs) == "same"
    calls = sandbox.journal("fly")[before:]
    assert len(calls) <= 6 + machines
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
