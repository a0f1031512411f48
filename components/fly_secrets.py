"""Secrets of one Fly app.

Owns exactly the names it is given and a marker that says whose they are. Does not touch any other secret of the app.
Setting them stages them: running machines see them when they are updated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from clients.endpoints import World
from components.children import child_options
from components.type_tokens import FLY_SECRETS
from providers.fly_secrets import Secrets


@dataclass(frozen=True, kw_only=True)
class FlySecretsArgs:
    """Inputs of FlySecrets.

    Attributes:
        world: the world the app lives in.
        app: name of the app.
        values: secret name to value.
        absent: names that must not be set at all.
        owner: the stack's mark.
        take_over: replace names that someone else set.
        app_resource: the app, where it is ours: its secrets are made again when it is.
    """

    world: World
    app: pulumi.Input[str]
    values: Mapping[str, pulumi.Input[str]]
    absent: Sequence[str] = ()
    owner: str
    take_over: bool = False
    app_resource: pulumi.Resource | None = None

    def __post_init__(self) -> None:
        if both := sorted(set(self.values) & set(self.absent)):
            raise ValueError(f"{', '.join(both)} cannot be set and absent at once")


class FlySecrets(pulumi.ComponentResource):
    """A set of secrets; `version` is what a machine must ask for to see them."""

    version: pulumi.Output[int]
    fingerprint: pulumi.Output[str]
    waits_for: list[pulumi.Resource]

    def __init__(self, name: str, args: FlySecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(FLY_SECRETS, name, None, opts)
        resource = Secrets(
            name,
            endpoints=args.world.value,
            app=args.app,
            values=dict(args.values),
            absent=list(args.absent),
            owner=args.owner,
            take_over=args.take_over,
            opts=child_options(self, opts, replace_with=[args.app_resource] if args.app_resource else None),
        )
        self.waits_for = [resource]
        self.version = resource.version
        self.fingerprint = resource.fingerprint
        self.register_outputs({"version": self.version, "fingerprint": self.fingerprint})
