"""credentials:KeyRing — the hashes of all accepted keys as one text, signed, with a generation that only grows.

Servers follow the newest generation that is signed with this stack's secret, wherever they find it (docs/adr/0012).
Nothing here touches a network.
"""

from __future__ import annotations

import time
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from clients.signing import ring_mac
from providers.lifecycle import Provider, changed

_INPUTS = ("ring", "signing")


class KeyRingProvider(Provider):
    """Signs the ring again whenever it changes."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare ring and secret; an unknown one may differ."""
        return DiffResult(changes=bool(changed(olds, news, _INPUTS)))

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Sign the first ring."""
        return CreateResult(id_="ring", outs=_signed(props, newer_than=0))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state as it is: what servers use is another resource's."""
        return ReadResult(id_=id_, outs=dict(props), inputs={key: props[key] for key in _INPUTS})

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Sign the new ring."""
        return UpdateResult(_signed(news, newer_than=int(olds["generation"])))


class KeyRing(Resource, module="credentials", name="KeyRing"):
    """A signed key ring.

    Args:
        ring: JSON of names and what a key of that name is known by; make it secret.
        signing: the signing secret.

    Attributes:
        generation: a whole number, greater after each change.
        mac: the proof for ring and generation.
    """

    ring: pulumi.Output[str]
    generation: pulumi.Output[int]
    mac: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        ring: pulumi.Input[str],
        signing: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            KeyRingProvider(),
            resource_name,
            {"ring": ring, "signing": pulumi.Output.secret(signing), "generation": None, "mac": None},
            pulumi.ResourceOptions.merge(pulumi.ResourceOptions(additional_secret_outputs=list(_INPUTS)), opts),
        )


def _signed(props: dict[str, Any], *, newer_than: int) -> dict[str, Any]:
    ring, signing = props["ring"], props["signing"]
    # By the clock, so that a state that was put back does not count again from where it was.
    generation = max(newer_than + 1, int(time.time() * 1000))
    return {"ring": ring, "signing": signing, "generation": generation, "mac": ring_mac(signing, generation, ring)}
