"""The server's machines: API machines one after the other, and one for background services where they are separate.

Owns the machines. Does not own their app, secrets or image. Each machine depends on the one before it, so that an
update rolls through them and a first boot fills the database once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pulumi

from clients.endpoints import World
from components.children import child_options
from components.fly_app import FlyApp
from components.machine_config import MachineSettings, api_machine, services_machine
from components.type_tokens import FLY_MACHINES
from providers.fly_machine import Machine


@dataclass(frozen=True, kw_only=True)
class FlyMachinesArgs:
    """Inputs of FlyMachines.

    Attributes:
        world: the world the machines live in.
        owner: the stack's mark.
        settings: what the machines' configuration is made of.
        api_regions: region of each API machine, in order.
        adopt: take over machines that no stack made, and remove those that no replica takes.
        healthy_timeout: seconds a machine may take to become healthy.
        strategy: how a machine is updated: bluegreen or rolling.
        app_url: at which a new machine has to answer before the one that it replaces goes; empty: it is not asked.
        app: the app; its machines are made again when it is.
        image: image by digest.
        secrets_version: version of the app's secrets that a machine must see when it is made or updated; another one
            alone updates none.
        secrets_fingerprint: changes when a secret's value does, so that the machines are updated.
    """

    world: World
    owner: str
    settings: MachineSettings
    api_regions: Sequence[str]
    adopt: bool
    healthy_timeout: int
    strategy: Literal["bluegreen", "rolling"]
    app_url: str
    app: FlyApp
    image: pulumi.Input[str]
    secrets_version: pulumi.Input[int]
    secrets_fingerprint: pulumi.Input[str]


@dataclass(frozen=True)
class MachineKey:
    """What names a machine and where it runs."""

    key: str
    region: str
    role: Literal["api", "services"]


class FlyMachines(pulumi.ComponentResource):
    """All machines of the server."""

    ids: pulumi.Output[dict[str, str]]
    revisions: pulumi.Output[list[str]]
    waits_for: list[pulumi.Resource]

    def __init__(self, name: str, args: FlyMachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(FLY_MACHINES, name, None, opts)
        machines: dict[str, Machine] = {}
        keys = machine_keys(args.api_regions, args.settings)
        last_api = max(index for index, key in enumerate(keys) if key.role == "api")
        for index, key in enumerate(keys):
            before = list(machines.values())[-1:]
            child = child_options(self, opts, after=before, replace_with=[args.app.resource])
            machines[key.key] = _machine(name, key, args, child, retire_unmarked=args.adopt and index == last_api)
        self.waits_for = list(machines.values())
        self.ids = pulumi.Output.all(**{key: machine.machine_id for key, machine in machines.items()})
        self.revisions = pulumi.Output.all(*[machine.revision for machine in machines.values()])
        self.register_outputs({"ids": self.ids})


def machine_keys(api_regions: Sequence[str], settings: MachineSettings) -> list[MachineKey]:
    """Every machine: `ewr-1`, `ewr-2`, … and `ewr-services`."""
    seen: Counter[str] = Counter()
    keys = []
    for region in api_regions:
        seen[region] += 1
        keys.append(MachineKey(f"{region}-{seen[region]}", region, "api"))
    if settings.separate_services:
        keys.append(MachineKey(f"{settings.region}-services", settings.region, "services"))
    return keys


def _machine(
    name: str, key: MachineKey, args: FlyMachinesArgs, opts: pulumi.ResourceOptions, *, retire_unmarked: bool
) -> Machine:
    build = services_machine if key.role == "services" else api_machine
    machine_name = f"{name}-{key.key}"

    def configure(image: str) -> dict[str, Any]:
        return build(args.settings, image)

    return Machine(
        machine_name,
        endpoints=args.world.value,
        app=args.app.app,
        name=machine_name,
        region=key.region,
        config=pulumi.Output.from_input(args.image).apply(configure),
        min_secrets_version=args.secrets_version,
        secrets_fingerprint=args.secrets_fingerprint,
        owner=args.owner,
        adopt=args.adopt,
        retire_unmarked=retire_unmarked,
        healthy_timeout=args.healthy_timeout,
        strategy=args.strategy,
        url=args.app_url,
        opts=opts,
    )
