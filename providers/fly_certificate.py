"""fly:Certificate — a name of one's own on an app, with the certificate that Fly gets and renews for it.

Owns the name on the app. Does not own the name's DNS, and does not wait for it: a certificate is there as soon as it
is asked for, and valid later (`ops verify-domain`). How far it is changes by itself and is no part of the state.
"""

from __future__ import annotations

from typing import Any

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
from clients.fly.certificates import Certificate as Found
from clients.fly.errors import FlyNotFoundError, FlyTransientError, FlyUnreachableError
from clients.fly.operations.ownership import prove_gone
from clients.loops import create_once
from providers.lifecycle import Props, Provider, adopting, difference, fly_client, plain, require

REPLACES = ("app", "hostname", "endpoints")


class FlyCertificateProvider(Provider):
    """Takes a name, has a certificate got for it, and gives it up."""

    serialize_as_secret_always = False

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing."""
        return require(news, {"app": str, "hostname": str, "endpoints": str})

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Everything is fixed; that Fly no longer renews the certificate is drift."""
        found = difference(olds, news, updates=(), replaces=REPLACES)
        if olds.get("acme_requested") is False:
            found.changes = True
        return found

    def create(self, props: Props) -> CreateResult:
        """Take the name unless the app has it."""
        client, app = fly_client(props), props["app"]
        org = client.apps.org_of(app)
        certificate = _requested(client, app, props["hostname"])
        # Tells whoever waits for the certificate that this is another one than before.
        asked = {"org": org, "requested_at": int(client.timing.clock())}
        return CreateResult(f"{app}/{props['hostname']}", _outputs(props, certificate) | asked)

    def read(self, id_: str, props: Props) -> ReadResult:
        """Look the name up; when the app is known not to have it, it is gone."""
        client = fly_client(props)
        try:
            certificate = client.certificates.get(props["app"], props["hostname"])
        except FlyNotFoundError as missing:
            prove_gone(client, props.get("org", ""), props["app"], missing)
            return ReadResult(None, {})
        return ReadResult(id_, plain(props) | _outputs(props, certificate))

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Ask again for a certificate that Fly was told to renew no more."""
        client = fly_client(news)
        certificate = _requested(client, news["app"], news["hostname"])
        again = {} if olds.get("acme_requested", True) else {"requested_at": int(client.timing.clock())}
        return UpdateResult(plain(olds) | _outputs(news, certificate) | again)

    def delete(self, _id: str, props: Props) -> None:
        """Give the name up."""
        client = fly_client(props)
        try:
            client.certificates.remove(props["app"], props["hostname"])
        except FlyNotFoundError as missing:
            prove_gone(client, props.get("org", ""), props["app"], missing)


class Certificate(Resource, module="fly", name="Certificate"):
    """A name of one's own and its certificate.

    Args:
        resource_name: logical name; carries app and name.
        app: the app's name.
        hostname: the name.
        endpoints: real or sandbox.
        opts: as usual.

    Attributes:
        dns_records: rows of type, name, value and purpose, to be added at the DNS provider.
        requested_at: unix seconds; another value is another certificate.
    """

    app: pulumi.Output[str]
    hostname: pulumi.Output[str]
    dns_records: pulumi.Output[list[dict[str, str]]]
    requested_at: pulumi.Output[int]

    def __init__(
        self,
        resource_name: str,
        *,
        app: pulumi.Input[str],
        hostname: pulumi.Input[str],
        endpoints: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        outputs = dict.fromkeys(("org", "acme_requested", "dns_records", "requested_at"))
        props = {"app": app, "hostname": hostname, "endpoints": endpoints, **outputs}
        super().__init__(FlyCertificateProvider(), resource_name, props, adopting(opts))


def _outputs(props: Props, certificate: Found) -> dict[str, Any]:
    return {key: props[key] for key in REPLACES} | {
        "acme_requested": certificate.acme_requested,
        "dns_records": [row.to_plain() for row in certificate.records],
    }


def _requested(client: FlyClient, app: str, hostname: str) -> Found:
    def look() -> Found | None:
        found = client.certificates.find(app, hostname)
        return found if found and found.acme_requested else None

    return look() or create_once(
        lambda: client.certificates.request(app, hostname),
        look,
        unclear=(FlyTransientError, FlyUnreachableError),
        retrying=lambda error: client.progress(f"no certificate was requested for {hostname} ({error.said}); again"),
        timing=client.timing,
    )
