"""A Fly app, its addresses, and the certificate of a name of one's own.

Owns the app, a shared IPv4 and an IPv6 address or a private one, and the certificate. Does not own the name's DNS, nor
machines or secrets: these have components of their own, because image, secrets and migration come in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from clients.endpoints import World
from components.children import child_options
from components.type_tokens import FLY_APP
from providers.fly_app import App
from providers.fly_certificate import Certificate
from providers.fly_ip_address import IpAddress

_PUBLIC_KINDS, _PRIVATE_KINDS = ("shared_v4", "v6"), ("private_v6",)


@dataclass(frozen=True, kw_only=True)
class FlyAppArgs:
    """Inputs of FlyApp.

    Attributes:
        world: the world the app lives in.
        org: slug of the Fly organisation.
        adopt_existing: take over an app of this name that already runs machines.
        owner: the stack's mark.
        others: existing apps that the stack changes as well, looked at before this one is made.
        domain: name of one's own; None for none.
        private: an address inside the organisation's network instead of public ones.
    """

    world: World
    org: str
    adopt_existing: bool
    owner: str
    others: Sequence[str] = ()
    domain: str | None = None
    private: bool = False


class FlyApp(pulumi.ComponentResource):
    """An app named like the component, reachable from outside unless it is private."""

    app: pulumi.Output[str]
    app_id: pulumi.Output[str]
    addresses: pulumi.Output[list[str]]
    certificate: Certificate | None
    resource: App
    waits_for: list[pulumi.Resource]

    def __init__(self, name: str, args: FlyAppArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(FLY_APP, name, None, opts)
        app = App(
            name,
            endpoints=args.world.value,
            org=args.org,
            name=name,
            adopt_existing=args.adopt_existing,
            owner=args.owner,
            others=list(args.others),
            opts=child_options(self, opts),
        )
        inside = child_options(self, opts, replace_with=[app])
        addresses = [
            IpAddress(
                f"{name}-{kind}",
                endpoints=args.world.value,
                app=app.name,
                kind=kind,
                opts=inside,
            )
            for kind in (_PRIVATE_KINDS if args.private else _PUBLIC_KINDS)
        ]
        self.certificate = _certificate(name, args, app, child_options(self, opts, after=addresses, replace_with=[app]))
        self.app, self.app_id = app.name, app.app_id
        # Whatever is in the app goes when the app is replaced, and must be made again with it.
        self.resource = app
        self.waits_for = [app, *addresses]
        self.addresses = pulumi.Output.all(*[address.address for address in addresses])
        self.register_outputs({"app": self.app, "addresses": self.addresses})


def _certificate(name: str, args: FlyAppArgs, app: App, opts: pulumi.ResourceOptions) -> Certificate | None:
    if args.domain is None:
        return None
    # The logical name carries the domain: another domain is another certificate, and the old one goes last.
    return Certificate(
        f"{name}-{args.domain}", endpoints=args.world.value, app=app.name, hostname=args.domain, opts=opts
    )
