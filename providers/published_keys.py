"""prefect:PublishedKeys — the generation of the key ring that a running server uses.

Publishing is one call to any of its machines; the others follow within seconds, and none is restarted. Owns nothing
that could be deleted: the keys that a server accepts last as long as the server.
"""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi.dynamic import CheckFailure, CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from clients.endpoints import World
from clients.errors import ApiError
from clients.loops import until
from clients.prefect import PrefectClient, PrefectError, PrefectUnreachableError
from clients.signing import publisher
from clients.timing import Reminder, Timing
from clients.transport import print_progress
from providers.lifecycle import Props, Provider, changed, fly_client, plain, require

_UPDATES = ("url", "generation", "endpoints")
# The server's own words for "not just now", and the proxy's before it.
_PASSES = {500, 502, 503, 504}
_PAUSE = 2.0
_ADVICE = {
    401: 'Its machines hold another signing secret or an older image: run "pulumi up --refresh".',
    409: "This state is older than what the server was given: import the newest state, or sign anew by "
    '"pulumi up --replace" of the stack\'s credentials:KeyRing.',
}


class PublishedKeysProvider(Provider):
    """Sends the ring, and looks which one the server uses."""

    serialize_as_secret_always = False

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing."""
        kinds = dict.fromkeys(("url", "ring", "mac", "signing", "app", "endpoints"), str)
        return require(news, kinds)

    def diff(self, _id: str, olds: Props, news: Props) -> DiffResult:
        """Compare generations; an unknown one differs."""
        return DiffResult(changes=bool(changed(olds, news, _UPDATES) or olds.get("drifted")))

    def create(self, props: Props) -> CreateResult:
        """Publish the ring; a server that has it already says so."""
        return CreateResult("keys", publish(props, Timing()))

    def read(self, id_: str, props: Props) -> ReadResult:
        """Look which generation the server uses. One that does not say keeps nobody from a refresh or a rollback."""
        kept = plain(props)
        try:
            used = _server(kept).published_generation(publisher(props["signing"]))
        except ApiError:
            return ReadResult(id_, kept)
        return ReadResult(id_, kept | {"drifted": used != kept["generation"]})

    def update(self, _id: str, _olds: Props, news: Props) -> UpdateResult:
        """Publish the ring."""
        return UpdateResult(publish(news, Timing()))


class PublishedKeys(Resource, module="prefect", name="PublishedKeys"):
    """A key ring on a running server.

    Args:
        url: public address of the server, without /api.
        generation, ring, mac: of the KeyRing.
        signing: the secret that it is signed with.
        app: the server's app.
        inside: the server is private, so that one of the app's machines makes the requests.
        endpoints: real or sandbox.
        timeout: seconds to wait for a server that does not answer.

    Attributes:
        drifted: the server uses another generation.
    """

    generation: pulumi.Output[int]
    drifted: pulumi.Output[bool]

    def __init__(  # noqa: PLR0913  # a signed ring and where it goes, all by keyword
        self,
        resource_name: str,
        *,
        url: pulumi.Input[str],
        generation: pulumi.Input[int],
        ring: pulumi.Input[str],
        mac: pulumi.Input[str],
        signing: pulumi.Input[str],
        app: pulumi.Input[str],
        inside: pulumi.Input[bool],
        endpoints: pulumi.Input[str],
        timeout: pulumi.Input[float],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props: dict[str, Any] = {
            "url": url,
            "generation": generation,
            "ring": pulumi.Output.secret(ring),
            "mac": mac,
            "signing": pulumi.Output.secret(signing),
            "app": app,
            "inside": inside,
            "endpoints": endpoints,
            "timeout": timeout,
            "drifted": None,
        }
        secret = pulumi.ResourceOptions(additional_secret_outputs=["ring", "signing"])
        super().__init__(PublishedKeysProvider(), resource_name, props, pulumi.ResourceOptions.merge(secret, opts))


def publish(props: Props, timing: Timing) -> dict[str, Any]:
    """Send the ring until the server takes it, and return all outputs.

    Raises:
        PrefectError: it refuses, or does not answer in time.
    """
    known = plain(props)
    server = _server(known)
    ring = {key: known[key] for key in ("generation", "ring", "mac")}
    said = Reminder(timing.clock)
    for left in until(known["timeout"], timing=timing, every=_PAUSE, first=0.2):
        try:
            server.publish_keys(publisher(known["signing"]), ring)
        except PrefectError as error:
            passes = isinstance(error, PrefectUnreachableError) or error.status in _PASSES
            if not passes or not left:
                raise _refused(known["url"], error) from error
            if said.due():
                print_progress(f"the server does not take the keys yet ({error.said}); {left:.0f} s left")
        else:
            break
    return known | {"drifted": False}


def _server(props: Props) -> PrefectClient:
    url, world = props["url"], World(props["endpoints"])
    if not props["inside"]:
        return PrefectClient.at(url, world)
    from clients.fly.operations.inside import InsideSession  # noqa: PLC0415  # is one of requests' sessions

    return PrefectClient.at(url, world, InsideSession(fly_client(props), props["app"]))


def _refused(url: str, error: PrefectError) -> PrefectError:
    doing = f'publish the keys of server "{url}"'
    return type(error)(doing, error.said, status=error.status, advice=_ADVICE.get(error.status or 0, ""))
