"""API keys for the server: one per consumer and generation, generated once and kept as secrets in the state.

Owns the values, but for those that people made themselves, of which it is given the hashes, and the signed ring of all
hashes that the server follows. Does not own where they are set: the server holds their hashes, the consumers the keys
themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.children import child_options
from components.type_tokens import API_KEYS
from providers.api_key import ApiKey
from providers.key_ring import KeyRing


@dataclass(frozen=True, kw_only=True)
class KeyLimits:
    """What the server lets a consumer do, and until when.

    Attributes:
        rights: viewer, operator or admin.
        expires: RFC 3339 time from which the key is refused; None for never.
        sha256: hash of a key that is made elsewhere; None for one that is generated.
    """

    rights: str = "admin"
    expires: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class ApiKeysArgs:
    """Inputs of ApiKeys.

    Attributes:
        consumers: who gets a key of their own.
        limits: of the consumers that are not admins without an end.
        current: the generation that consumers use.
        accepted: the generations that the server accepts.
    """

    consumers: Sequence[str]
    current: int
    accepted: Sequence[int]
    limits: Mapping[str, KeyLimits] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.current not in self.accepted:
            raise ValueError(f"generation {self.current} is not among the accepted ones")


def key_name(consumer: str, generation: int) -> str:
    """The name of a key in logs and counters: the consumer, followed by the generation from the second one on."""
    return consumer if generation == 1 else f"{consumer}.{generation}"


def ring_json(hashes: Mapping[str, str], args: ApiKeysArgs) -> str:
    """Write the names with their hashes as the server reads them (docs/server-image.md)."""
    consumers = {
        key_name(consumer, generation): consumer for consumer in args.consumers for generation in args.accepted
    }
    limits = {name: args.limits.get(consumers.get(name, name), KeyLimits()) for name in hashes}
    return json.dumps({name: _entry(value, limits[name]) for name, value in hashes.items()}, sort_keys=True)


def _entry(sha256: str, limits: KeyLimits) -> str | dict[str, object]:
    if limits.rights == "admin" and not limits.expires:
        return sha256
    ends = {"expires": limits.expires} if limits.expires else {}
    return {"sha256": [sha256], "rights": limits.rights, **ends}


class ApiKeys(pulumi.ComponentResource):
    """Keys by consumer and generation."""

    names: list[str]
    ring: KeyRing
    signing: pulumi.Output[str]

    def __init__(self, name: str, args: ApiKeysArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(API_KEYS, name, None, opts)
        self._current = args.current
        self._keys = {
            key_name(consumer, generation): ApiKey(
                f"{name}-{key_name(consumer, generation)}",
                consumer=consumer,
                generation=generation,
                opts=child_options(self, opts),
            )
            for consumer in args.consumers
            for generation in args.accepted
            if not args.limits.get(consumer, KeyLimits()).sha256
        }
        own = {consumer: limits.sha256 for consumer, limits in args.limits.items() if limits.sha256}
        self.names = sorted([*self._keys, *own])
        hashes = pulumi.Output.all(**{key: resource.sha256 for key, resource in self._keys.items()}, **own)
        # A secret of its own, not an output of the ring: in a preview of a changed ring it is known to be the same.
        signing = ApiKey(f"{name}.signing", consumer="signing", generation=1, opts=child_options(self, opts))
        self.signing = signing.value
        self.ring = KeyRing(
            name,
            signing=signing.value,
            ring=pulumi.Output.secret(hashes.apply(lambda known: ring_json(known, args))),
            opts=child_options(self, opts),
        )
        self.register_outputs({"names": self.names})

    def current_name(self, consumer: str) -> str:
        """The name of the key that `consumer` uses now."""
        return key_name(consumer, self._current)

    def value(self, consumer: str) -> pulumi.Output[str]:
        """The key that `consumer` uses now; secret."""
        return pulumi.Output.secret(self._keys[self.current_name(consumer)].value)

    def credential(self, consumer: str) -> pulumi.Output[str]:
        """`name:key`, which Prefect's clients need for their websockets and people log in with; secret."""
        return pulumi.Output.concat(self.current_name(consumer), ":", self.value(consumer))
