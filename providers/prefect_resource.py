"""The program's side of an object on a Prefect server, the same for all kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

from providers.lifecycle import adopting


class PrefectResource(Resource, module="prefect", name="Object"):
    """An object on a Prefect server.

    Args:
        resource_name: logical name.
        inputs: endpoints (real or sandbox), api_url, credential (a key of the server), owner (the stack's mark), name,
            and those of the kind.
        opts: as usual.

    Attributes:
        provider: of the kind.
        secret: inputs and outputs that are secret.
        outputs: what is known after the object was made.
        object_id: the server's id of it.
    """

    provider: ClassVar[type[ResourceProvider]]
    secret: ClassVar[Sequence[str]] = ("credential",)
    outputs: ClassVar[Sequence[str]] = ("object_id",)
    object_id: pulumi.Output[str]

    def __init__(
        self, resource_name: str, *, opts: pulumi.ResourceOptions | None = None, **inputs: pulumi.Input[Any]
    ) -> None:
        props: dict[str, Any] = {
            key: pulumi.Output.secret(value) if key in self.secret else value for key, value in inputs.items()
        }
        props |= dict.fromkeys(self.outputs)
        super().__init__(self.provider(), resource_name, props, adopting(opts, secret_outputs=self.secret))
