"""Whether the edge reaches a new machine: before another one goes because of it, somebody has to have seen that."""

from __future__ import annotations

from collections.abc import Callable

from clients.fly.client import FlyClient
from clients.fly.errors import FlyUnhealthyError
from clients.fly.model import Machine
from clients.fly.operations.waiting import POLL, keep_nothing
from clients.fly.operations.wanted import WantedMachine
from clients.loops import until

REACHED_WITHIN = 60.0
"""Seconds for the edge to learn of a new machine."""


def reached(
    client: FlyClient,
    wanted: WantedMachine,
    machine: Machine,
    *,
    doing: str,
    keep: Callable[[], None] = keep_nothing,
) -> None:
    """Wait until the machine answers through the edge as `wanted` says; one that nothing is routed to is not asked.

    Args:
        client: Fly.
        wanted: how to ask.
        machine: healthy by its checks.
        doing: what for, in the error's sentence.
        keep: called in every round; refreshes a lease.

    Raises:
        FlyUnhealthyError: not in time.
    """
    if wanted.probe is None:
        return
    problem = ""
    for _left in until(REACHED_WITHIN, timing=client.timing, every=POLL):
        keep()
        said, problem = problem, wanted.probe(machine.id)
        if not problem:
            return
        if problem != said:
            client.progress(f'machine "{machine.name}": {problem}; waiting')
    raise FlyUnhealthyError(doing, f"its checks pass, but {problem}")
