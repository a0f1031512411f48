"""fly:Secrets — a set of names in an app's secrets, and the marker that says whose they are.

Owns exactly the names it sets, the marker, and the absence of the names in `absent`. Every other secret of the app is
somebody else's: neither touched nor looked at. Values are write-only on Fly, so outputs hold salted fingerprints of
them and the digests that Fly answered; a digest that changed since is drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from secrets import token_hex
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
from clients.fly.errors import FlyForeignError, FlyNotFoundError
from clients.fly.operations.ownership import prove_gone
from clients.names import MARKER_VALUE, marker_of
from providers.fly_secrets_state import OUTPUTS, REPLACES, UPDATES, drift, fingerprints_of, outputs, values_changed
from providers.lifecycle import Props, Provider, adopting, changed, fly_client, plain, require, unknown


class FlySecretsProvider(Provider):
    """Writes and removes our names, in one bulk call each time."""

    serialize_as_secret_always = False

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing, and a name that is both set and to be absent."""
        failures = require(news, {"app": str, "owner": str, "endpoints": str})
        values, absent = news.get("values"), news.get("absent")
        if isinstance(values, Mapping) and isinstance(absent, list):
            failures += [
                CheckFailure("absent", f'could not set secret "{name}": it is listed as absent as well')
                for name in values
                if name in absent
            ]
        return failures

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Compare fingerprints: values are not kept in outputs."""
        moved = changed(olds, news, REPLACES)
        replaced = [key for key in moved if not unknown(news.get(key))]
        other = bool(changed(olds, news, UPDATES) or values_changed(olds, news) or olds.get("drifted"))
        return DiffResult(changes=bool(moved) or other, replaces=replaced, delete_before_replace=True)

    def create(self, props: Props) -> CreateResult:
        """Write all names and the marker; refuse names that somebody else set."""
        client, app = fly_client(props), props["app"]
        org = client.apps.org_of(app)
        # As of now: a set that was replaced a moment ago may still be listed.
        live = {secret.name: secret.digest for secret in client.secrets.list_now(app)}
        claimed = {*props["values"], *props.get("absent", [])}
        # Names and marker are written in one call, so with the marker there the names are an earlier attempt's.
        _refuse_foreign(props, claimed & set(live) if marker_of(props["owner"]) not in live else set())
        salt = token_hex(16)
        version, digests = _write(client, props, props["values"], remove=(), live=live)
        if all(digests.get(name) == live.get(name) for name in claimed):
            # Taken over as they were: no machine has to be updated to see them.
            version = 0
        return CreateResult(app, outputs(props, salt=salt, version=version, digests=digests, org=org))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Compare digests. The version stays that of our last write: a secret of somebody else is no change of ours."""
        client = fly_client(props)
        try:
            live = _live(client, props)
        except FlyNotFoundError as missing:
            prove_gone(client, props.get("org", ""), props["app"], missing)
            return ReadResult(None, {})
        if not {*props["names"], marker_of(props["owner"])} & set(live):
            return ReadResult(None, {})
        return ReadResult(id_, plain(props) | {"drifted": drift(props, live)})

    def update(self, _id: str, olds: Props, news: Props) -> UpdateResult:
        """Write what changed or drifted and remove our names that are no longer wanted, in one call."""
        client, app, salt = fly_client(news), news["app"], olds["salt"]
        live = _digests(client, app, olds["version"])
        ours = {*olds["names"], *olds.get("absent", [])}
        _refuse_foreign(news, ({*news["values"], *news.get("absent", [])} - ours) & set(live))
        prints = fingerprints_of(salt, news["values"])
        stale = {
            name: value
            for name, value in news["values"].items()
            if olds["fingerprints"].get(name) != prints[name] or live.get(name, "") != olds["digests"].get(name)
        }
        remove = set(olds["names"]) - set(news["values"])
        if olds["owner"] != news["owner"]:
            remove.add(marker_of(olds["owner"]))
        version, digests = _write(client, news, stale, remove=remove, live=live)
        version = version or olds["version"]
        return UpdateResult(outputs(news, salt=salt, version=version, digests=digests, org=olds["org"]))

    def delete(self, _id: str, props: Props) -> None:
        """Remove exactly our names and our marker."""
        client = fly_client(props)
        try:
            client.secrets.write(props["app"], dict.fromkeys([*props["names"], marker_of(props["owner"])]))
        except FlyNotFoundError as missing:
            prove_gone(client, props.get("org", ""), props["app"], missing)


class Secrets(Resource, module="fly", name="Secrets"):
    """A set of secrets on an app.

    Outputs: `names`; `version`, the app-wide version of our last write, for machines' min_secrets_version (0: nothing
    was new); `fingerprint`, one string that changes whenever we write; `drifted`, what somebody else changed.

    Args:
        resource_name: logical name; carries the app.
        app: the app's name.
        values: name to value; make it secret.
        owner: mark of this stack.
        endpoints: real or sandbox.
        absent: names that must not be set.
        take_over: names that somebody else set may be overwritten and removed; their values cannot be restored.
        opts: as usual.
    """

    app: pulumi.Output[str]
    names: pulumi.Output[list[str]]
    version: pulumi.Output[int]
    fingerprint: pulumi.Output[str]
    fingerprints: pulumi.Output[dict[str, str]]
    drifted: pulumi.Output[list[str]]

    def __init__(
        self,
        resource_name: str,
        *,
        app: pulumi.Input[str],
        values: pulumi.Input[Mapping[str, pulumi.Input[str]]],
        owner: pulumi.Input[str],
        endpoints: pulumi.Input[str],
        absent: pulumi.Input[list[str]] | None = None,
        take_over: pulumi.Input[bool] = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            "app": app,
            "values": pulumi.Output.secret(values),
            "owner": owner,
            "endpoints": endpoints,
            "absent": absent or [],
            "take_over": take_over,
        }
        props |= dict.fromkeys(OUTPUTS)
        # The digest's algorithm is undocumented, so it could be guessed back from.
        secret = ("values", "salt", "fingerprints", "digests")
        super().__init__(FlySecretsProvider(), resource_name, props, adopting(opts, secret_outputs=secret))


def _live(client: FlyClient, props: Props) -> dict[str, str]:
    """Return the digest of each secret: from a look shared with the app's other sets where it shows no drift."""
    seen = client.secrets.glance(props["app"], props["owner"], min_version=int(props["version"]))
    glanced = {secret.name: secret.digest for secret in seen}
    return glanced if not drift(props, glanced) else _digests(client, props["app"], props["version"])


def _digests(client: FlyClient, app: str, version: float) -> dict[str, str]:
    # The engine gives numbers back as floats, and the API takes 3.0 for no version.
    return {secret.name: secret.digest for secret in client.secrets.list(app, min_version=int(version))}


def _refuse_foreign(props: Props, foreign: set[str]) -> None:
    if foreign and not props.get("take_over"):
        raise FlyForeignError(
            f'set secrets of app "{props["app"]}"',
            f"{', '.join(sorted(foreign))} is set there already, and not by this stack",
            advice="Unset it (fly secrets unset), or let the stack take it over (orchestrator.takeOver: true, for the "
            "server's app fly.adoptExisting: true); the present value cannot be restored afterwards.",
        )


def _write(
    client: FlyClient, props: Props, values: Mapping[str, str], *, remove: Iterable[str], live: Mapping[str, str]
) -> tuple[int, dict[str, str]]:
    """Write in one bulk call; return the new version, 0 when there was nothing to write, and all digests since."""
    marker = marker_of(props["owner"])
    body: dict[str, str | None] = dict(values)
    if marker not in live:
        body[marker] = MARKER_VALUE
    body |= {name: None for name in {*remove, *props.get("absent", [])} if name in live}
    if not body:
        return 0, dict(live)
    written = client.secrets.write(props["app"], body)
    # The reply is not documented to name them all.
    known = written.digests if set(values) <= set(written.digests) else _digests(client, props["app"], written.version)
    return written.version, {name: digest for name, digest in live.items() if name not in body} | known
