"""The server's machines: API machines one after the other, and one for background services where they are separate.

Owns the machines. Does not own their app, secrets or image. Each machine depends on the one before it, so that an
update rolls through them and a first boot fills the database once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pulumi

from components.fly_app import FlyApp
from components.machine_config import api_machine, services_machine
from components.type_tokens import FLY_MACHINES
from providers.fly_machine import Machine
from settings import Settings


@dataclass(frozen=True, kw_only=True)
class FlyMachinesArgs:
    """Inputs of FlyMachines.

    Attributes:
        settings: sizes, regions and everything the machines' configuration is made of.
        app: the app; its machines are made again when it is.
        image: image by digest.
        secrets_version: version of the app's secrets that the machines must see.
        secrets_fingerprint: changes when a secret's value does, so that the machines are updated.
    """

    settings: Settings
    app: FlyApp
    image: pulumi.Input[str]
    secrets_version: pulumi.Input[int]
    secrets_fingerprint: pulumi.Input[str]


class FlyMachines(pulumi.ComponentResource):
    """All machines of the server."""

    ids: pulumi.Output[dict[str, str]]
    revisions: pulumi.Output[list[str]]

    def __init__(self, name: str, args: FlyMachinesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(FLY_MACHINES, name, None, opts)
        before = opts.depends_on if opts else None
        self.machines: dict[str, Machine] = {}
        for key, region, role in machine_keys(args.settings):
            child = pulumi.ResourceOptions(parent=self, depends_on=before, replace_with=[args.app.resource])
            machine = _machine(f"{name}-{key}", region, role, args, child)
            self.machines[key] = machine
            before = [machine]
        self.ids = pulumi.Output.all(**{key: machine.machine_id for key, machine in self.machines.items()})
        self.revisions = pulumi.Output.all(*[machine.revision for machine in self.machines.values()])
        self.register_outputs({"ids": self.ids})


def machine_keys(settings: Settings) -> list[tuple[str, str, str]]:
    """Key, region and role of every machine: `ewr-1`, `ewr-2`, … and `ewr-services`."""
    seen: Counter[str] = Counter()
    keys = []
    for region in settings.machine_regions:
        seen[region] += 1
        keys.append((f"{region}-{seen[region]}", region, "api"))
    if settings.services.separate:
        keys.append((f"{settings.fly.region}-services", settings.fly.region, "services"))
    return keys


def _machine(machine_name: str, region: str, role: str, args: FlyMachinesArgs, opts: pulumi.ResourceOptions) -> Machine:
    settings = args.settings
    build = services_machine if role == "services" else api_machine

    def configure(image: str) -> dict[str, Any]:
        return build(settings, image)

    return Machine(
        machine_name,
        endpoints=settings.world.value,
        app=args.app.app,
        name=machine_name,
        region=region,
        config=pulumi.Output.from_input(args.image).apply(configure),
        min_secrets_version=args.secrets_version,
        secrets_fingerprint=args.secrets_fingerprint,
        owner=settings.owner,
        adopt=settings.fly.adopt_existing,
        healthy_timeout=settings.timeouts.healthy,
        opts=opts,
    )
