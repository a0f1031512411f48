"""fly:IpAddress — one address of an app: a shared IPv4 or an IPv6, both free of charge, or a private IPv6 (Flycast).

Owns the address of its kind; an app has at most one of each from this project, so create takes the one that is there.
"""

from __future__ import annotations

from collections.abc import Iterable

import pulumi
from pulumi.dynamic import (
    CheckFailure,
    CreateResult,
    DiffResult,
    ReadResult,
    Resource,
    UpdateResult,
)

from clients.fly import FlyClient
from clients.fly.addresses import Address, Kind
from clients.fly.errors import FlyNotFoundError, FlyTransientError, FlyUnreachableError
from clients.fly.operations.ownership import prove_gone
from clients.loops import create_once
from providers.lifecycle import Props, Provider, adopting, difference, fly_client, plain, require, unknown

REPLACES = ("app", "kind", "endpoints")


class FlyIpAddressProvider(Provider):
    """Allocates, finds and releases an address."""

    serialize_as_secret_always = False

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing, and kinds that cost money."""
        failures = require(news, {"app": str, "kind": str, "endpoints": str})
        kind = news.get("kind")
        if not unknown(kind) and kind not in set(Kind):
            failures.append(CheckFailure("kind", f'could not use kind "{kind}": it is none of {", ".join(Kind)}'))
        return failures

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Everything about an address is fixed."""
        return difference(olds, news, updates=(), replaces=REPLACES)

    def create(self, props: Props) -> CreateResult:
        """Allocate the address unless the app has one of its kind."""
        client, app, kind = fly_client(props), props["app"], Kind(props["kind"])
        org = client.apps.org_of(app)
        address = _of_kind(client, app, kind) or _allocate(client, app, kind)
        outputs = {key: props[key] for key in REPLACES} | {"address": address.ip, "org": org}
        return CreateResult(f"{app}/{address.ip}", outputs)

    def read(self, id_: str, props: Props) -> ReadResult:
        """Look for the address in the app's list. When the list can be read and does not hold it, it is gone."""
        client = fly_client(props)
        try:
            listed = client.addresses.glance(props["app"], id_)
            if not _holds(listed, props["address"]):
                listed = client.addresses.list(props["app"])
        except FlyNotFoundError as missing:
            prove_gone(client, props.get("org", ""), props["app"], missing)
            return ReadResult(None, {})
        if _holds(listed, props["address"]):
            return ReadResult(id_, plain(props))
        return ReadResult(None, {})

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Keep the address: called only when a value was unknown in the preview and is the same after all."""
        return UpdateResult(plain(olds) | {key: news[key] for key in REPLACES})

    def delete(self, _id: str, props: Props) -> None:
        """Release the address."""
        client = fly_client(props)
        try:
            client.addresses.release(props["app"], props["address"])
        except FlyNotFoundError as missing:
            prove_gone(client, props.get("org", ""), props["app"], missing)


class IpAddress(Resource, module="fly", name="IpAddress"):
    """An address.

    Args:
        resource_name: logical name; carries app and kind.
        app: the app's name.
        kind: shared_v4, v6 or private_v6.
        endpoints: real or sandbox.
        opts: as usual.
    """

    app: pulumi.Output[str]
    kind: pulumi.Output[str]
    address: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        app: pulumi.Input[str],
        kind: pulumi.Input[str],
        endpoints: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {"app": app, "kind": kind, "endpoints": endpoints, "address": None, "org": None}
        super().__init__(FlyIpAddressProvider(), resource_name, props, adopting(opts))


def _holds(listed: Iterable[Address], ip: str) -> bool:
    return any(address.ip == ip for address in listed)


def _of_kind(client: FlyClient, app: str, kind: Kind) -> Address | None:
    matching = [address for address in client.addresses.list(app) if address.is_of(kind)]
    return min(matching, key=lambda address: address.ip) if matching else None


def _allocate(client: FlyClient, app: str, kind: Kind) -> Address:
    return create_once(
        lambda: client.addresses.allocate(app, kind),
        lambda: _of_kind(client, app, kind),
        unclear=(FlyTransientError, FlyUnreachableError),
        retrying=lambda error: client.progress(f"the {kind} address of {app} was not allocated ({error.said}); again"),
        timing=client.timing,
    )
