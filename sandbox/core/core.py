"""What the services of one sandbox share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sandbox.core.clock import Clock
from sandbox.core.faults import Faults
from sandbox.core.journal import Journal
from sandbox.core.store import Store


@dataclass
class Core:
    """What the services of one sandbox share.

    Attributes:
        reset_world: puts every service back to its first state; set by whoever assembles the sandbox.
    """

    clock: Clock
    journal: Journal
    store: Store
    faults: dict[str, Faults] = field(default_factory=dict)
    reset_world: Callable[[], Awaitable[None]] | None = None

    @classmethod
    def in_memory(cls, clock: Clock | None = None) -> Core:
        """Return a core that keeps nothing on disk."""
        clock = clock or Clock()
        return cls(clock=clock, journal=Journal(clock), store=Store(None))

    def faults_of(self, service: str) -> Faults:
        """Return the faults of a service; services of the same name share them."""
        return self.faults.setdefault(service, Faults())
