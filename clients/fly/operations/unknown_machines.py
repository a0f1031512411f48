"""Machines on an app of ours that the stack does not know: made by hand, by flyctl or by another stack.

`fly machine clone` copies our marks along, so a mark alone does not make a machine ours; `fly scale count` leaves none.
Such a machine serves requests with the keys of the moment it was made, also with those that were revoked since.
"""

from __future__ import annotations

from collections.abc import Iterable

from clients.fly.model import GROUP_KEY, Machine
from clients.fly.operations.one_off import GROUP
from clients.fly.operations.pairs import own_names, successor_of


def unknown_machines(machines: Iterable[Machine], owner: str) -> tuple[Machine, ...]:
    """Return the machines that no resource of the stack `owner` can stand for, by id.

    Machines that end by themselves (one-off machines, consoles) are left out. Of several machines with one label ours
    are the one that is about to go and its successor, while an update is under way or was interrupted; else the one
    that has a name of that label; else, as after an adoption, the oldest.
    """
    candidates = lasting(machines)
    ours = [machine for machine in candidates if machine.owner == owner]
    labels = {machine.label for machine in ours}
    known = {m.id for label in labels for m in _of_the_stack([m for m in ours if m.label == label], label)}
    return tuple(sorted((m for m in candidates if m.id not in known), key=lambda m: m.id))


def _of_the_stack(machines: list[Machine], label: str) -> list[Machine]:
    """Return the one that the stack made, of several machines of a label; two while one takes the other's place."""
    for machine in machines:
        if name := successor_of(machine):
            return [machine, *(m for m in machines if m.name == name and m.id != machine.id)]
    return sorted(machines, key=lambda m: (m.name not in own_names(label), m.created_at, m.id))[:1]


def lasting(machines: Iterable[Machine]) -> list[Machine]:
    """Return the machines that are there to stay: no one-off machines, no consoles, nothing that is on its way out."""
    return [m for m in machines if not m.destroyed and not _ends_by_itself(m)]


def serves(machine: Machine) -> bool:
    """Tell whether the edge may send it requests."""
    return machine.state == "started" and bool(machine.config.get("services")) and not machine.cordoned


def removal(app: str, machines: Iterable[Machine]) -> str:
    """Return the sentence that says how to remove them."""
    commands = " and ".join(f'"fly machine destroy --force {machine.id} -a {app}"' for machine in machines)
    return f"Remove what you do not need with {commands}, then run the command again."


def _ends_by_itself(machine: Machine) -> bool:
    return bool(machine.config.get("auto_destroy")) or machine.metadata.get(GROUP_KEY) == GROUP
