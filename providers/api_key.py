"""credentials:ApiKey: one generated API key of one consumer and generation.

The value is random, is made once and lives in the state as a secret; the server only ever gets its hash. Another
generation is another resource by its logical name, so that an old and a new key can be accepted side by side. Nothing
here touches a network.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource

from clients.names import KEY_PREFIX
from providers.lifecycle import Provider, unknown

_REPLACE_ONLY = ("consumer", "generation")
_RANDOM_BYTES = 32


class ApiKeyProvider(Provider):
    """Makes the value once; every later question is answered from the state."""

    serialize_as_secret_always = False

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Report a replacement when the key's identity changes. A value that is not known yet is no change."""
        replaces = [key for key in _REPLACE_ONLY if not unknown(news.get(key)) and olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaces), replaces=replaces)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the value: a fixed prefix, which secret scanners can look for, and 256 random bits in 43 characters."""
        value = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        outs = {
            "consumer": props["consumer"],
            "generation": props["generation"],
            "value": value,
            "sha256": hashlib.sha256(value.encode()).hexdigest(),
        }
        return CreateResult(id_=f"{props['consumer']}/{int(props['generation'])}", outs=outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Return the state as it is: the value is kept nowhere else."""
        inputs = {key: props[key] for key in _REPLACE_ONLY if key in props}
        return ReadResult(id_=id_, outs=dict(props), inputs=inputs)


class ApiKey(Resource, module="credentials", name="ApiKey"):
    """A generated API key.

    Args:
        consumer: who uses it, for example orchestrator.
        generation: counts the rotations, from 1.

    Attributes:
        value: the key; secret.
        sha256: its SHA-256 in hex, which is what the server holds. Not secret: the value has 256 random bits.
    """

    consumer: pulumi.Output[str]
    generation: pulumi.Output[int]
    value: pulumi.Output[str]
    sha256: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        consumer: pulumi.Input[str],
        generation: pulumi.Input[int],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__(
            ApiKeyProvider(),
            resource_name,
            {"consumer": consumer, "generation": generation, "value": None, "sha256": None},
            pulumi.ResourceOptions.merge(pulumi.ResourceOptions(additional_secret_outputs=["value"]), opts),
        )
