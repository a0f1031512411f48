"""What a machine is to be: the common language of the operations that bring it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from clients.fly.client import FlyClient
from clients.fly.errors import (
    FlyConflictError,
    FlyRefusedError,
    FlyTransientError,
    FlyUnreachableError,
)
from clients.fly.model import Machine, MachineRequest
from clients.fly.operations.waiting import HEALTHY_WITHIN
from clients.loops import create_once

Strategy = Literal["bluegreen", "rolling"]
Probe = Callable[[str], str]
"""Asks the machine of this id through the edge; returns what is wrong, empty when nothing is."""

UNCLEAR = (FlyTransientError, FlyUnreachableError, FlyConflictError)
"""Answers that leave open whether a call had its effect."""


@dataclass(frozen=True, kw_only=True)
class WantedMachine:
    """A machine as it should be.

    Attributes:
        name: stable; of the two machines that may be there during an update one has it as its own name.
        config: the whole config, our marks included (`config.with_marks`).
        min_secrets_version: 0 when the secrets are as the machine has them.
        healthy_within: seconds for start and checks.
        adopt: a machine that no stack of this project made may be taken over.
        strategy: how it is updated.
        probe: asked of a new machine before the old one goes; None where nothing is routed to it.
    """

    app: str
    name: str
    region: str
    owner: str
    config: Mapping[str, Any]
    min_secrets_version: int = 0
    healthy_within: float = HEALTHY_WITHIN
    adopt: bool = False
    strategy: Strategy = "rolling"
    probe: Probe | None = None

    def request(self, name: str = "") -> MachineRequest:
        """Return the body of create and update; `name` when the machine itself is called otherwise."""
        return MachineRequest(
            name=name or self.name,
            region=self.region,
            config=self.config,
            min_secrets_version=self.min_secrets_version,
        )

    @property
    def doing(self) -> str:
        """What creating it is called in errors."""
        return f'create machine "{self.name}" in app "{self.app}"'

    @property
    def updating(self) -> str:
        """What updating it is called in errors."""
        return f'update machine "{self.name}" of app "{self.app}"'


def create(client: FlyClient, wanted: WantedMachine, name: str, look: Callable[[], Machine | None]) -> Machine:
    """Create the machine under `name`, looking for it first whenever an answer left open whether it exists.

    Raises:
        FlyError: it was not created.
    """
    return create_once(
        lambda: client.machines.create(wanted.app, wanted.request(name)),
        look,
        unclear=(*UNCLEAR, FlyRefusedError),
        final=(FlyConflictError, FlyRefusedError),
        retrying=lambda error: client.progress(f'machine "{name}" was not created ({error.said}); trying again'),
        timing=client.timing,
    )
