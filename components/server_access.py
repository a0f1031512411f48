"""How the stack reaches the Prefect server on which it keeps objects: a self-hosted one's or Prefect Cloud's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pulumi

from clients.endpoints import World
from clients.names import kept_by, mark_of


@dataclass(frozen=True, kw_only=True)
class ServerAccess:
    """What every object on the server is given.

    Attributes:
        world: the world the server lives in.
        owner: the stack's mark.
        stack: its name, shown to people.
        api_url: of the server; that of its Fly app, which outlives a name of one's own.
        ui_url: what links in messages begin with; empty where it is not known.
        credential: a key of the server; secret.
    """

    world: World
    owner: str
    stack: str
    api_url: str
    ui_url: str
    credential: pulumi.Output[str] = field(repr=False)

    def inputs(self, name: str) -> dict[str, Any]:
        """Return the inputs that objects of all kinds have, for the one of that name."""
        return {
            "endpoints": self.world.value,
            "api_url": self.api_url,
            "credential": self.credential,
            "owner": self.owner,
            "name": name,
        }

    @property
    def description(self) -> str:
        """What is said of an object where it has a description; it carries the mark."""
        return (
            f"{kept_by(self.stack, mark_of(self.owner))}: "
            "what is changed here by hand is put back by the next pulumi up --refresh."
        )
