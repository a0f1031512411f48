"""Machines on an app of ours that the stack does not know: made by hand, by flyctl or by another stack.

`fly machine clone` copies our marks along, so a mark alone does not make a machine ours; `fly scale count` leaves none.
Such a machine serves requests with the keys of the moment it was made, also with those that were revoked since.
"""

from __future__ import annotations

from collections.abc import Iterable

from clients.fly.model import GROUP_KEY, Machine
from clients.fly.operations.one_off import GROUP


def unknown_machines(machines: Iterable[Machine], owner: str) -> tuple[Machine, ...]:
    """Return the machines that no resource of the stack `owner` can stand for, by id.

    Machines that end by themselves (one-off machines, consoles) are left out. Of several machines with one label the
    one that has the label as its name is ours; where none has, as after an adoption, it is the oldest.
    """
    candidates = lasting(machines)
    ours: dict[str, Machine] = {}
    for machine in sorted(candidates, key=lambda m: (m.name != m.label, m.created_at, m.id)):
        if machine.owner == owner:
            ours.setdefault(machine.label, machine)
    known = {machine.id for machine in ours.values()}
    return tuple(sorted((m for m in candidates if m.id not in known), key=lambda m: m.id))


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
