"""One machine of an app in the sandbox: its resource, what Fly shows of it, and what other tools do to it."""

from __future__ import annotations

from typing import Any

from clients.fly.model import MachineRequest
from providers.fly_machine import FlyMachineProvider
from sandbox.fly.models import Machine
from sandbox.testing import Sandbox
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import OWNER, client_of, config

UNCLEAR = [{"drop_answer": True}, {"reset": True}, {"status": 503, "body": "no JSON"}, {"status": 408}]


def inputs(**changes: Any) -> dict[str, Any]:
    return {
        "app": "shop",
        "name": "shop-ewr-1",
        "region": "ewr",
        "config": config(),
        "owner": OWNER,
        "endpoints": "sandbox",
        "min_secrets_version": 0,
        "secrets_fingerprint": "f1",
        "healthy_timeout": 300,
        "adopt": False,
    } | changes


def engine() -> EngineSide:
    return EngineSide(FlyMachineProvider)


def machines(sandbox: Sandbox) -> list[Machine]:
    return sandbox.fly.state.apps["shop"].live_machines


def by_hand(sandbox: Sandbox, name: str = "by-hand", metadata: dict[str, str] | None = None, **changes: Any) -> str:
    """Make a machine as another tool would, and return its id."""
    marks = {"fly_platform_version": "v2", "fly_process_group": "app"} if metadata is None else metadata
    request = MachineRequest(name=name, region="ewr", config=config(metadata=marks, **changes))
    client = client_of(sandbox)
    machine = client.machines.create("shop", request)
    assert client.machines.wait("shop", machine, "started", seconds=60)
    return machine.id


def update_by_hand(sandbox: Sandbox, machine_id: str, **changes: Any) -> None:
    """Change a machine's config as another tool would: read, change, post."""
    client = client_of(sandbox)
    machine = client.machines.get("shop", machine_id)
    request = MachineRequest(name=machine.name, region=machine.region, config=machine.config | changes)
    updated = client.machines.update("shop", machine, request)
    assert client.machines.wait("shop", updated, "started", version=updated.instance_id, seconds=60)


def serves(machine: Machine) -> bool:
    """Tell whether it is up, gets requests and passes its checks."""
    passing = all(check.status == "passing" for check in machine.checks.values())
    return machine.state == "started" and not machine.cordoned and bool(machine.checks) and passing


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
