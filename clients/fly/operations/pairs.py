"""The two machines of one name that are there while one replaces the other; pure functions.

A machine of ours keeps its label (our metadata) for ever. Fly lets no two machines of an app share a name, so the one
that comes gets the name that the other does not have: the label itself, or the label with `-b`. Before it is made, the
one that goes is marked with its own id and the name of its successor. The id makes the mark worthless on a clone, which
copies it along.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clients.fly.model import SUCCESSOR_KEY, Machine

_SECOND = "-b"


def own_names(label: str) -> tuple[str, str]:
    """Return the names that the machines of a label take in turn."""
    return label, f"{label}{_SECOND}"


def next_name(machine: Machine, label: str) -> str:
    """Return the name of the machine that takes the place of `machine`."""
    first, second = own_names(label)
    return second if machine.name == first else first


def successor_mark(machine: Machine, name: str) -> Mapping[str, str]:
    """Return the metadata that announces a successor of this name; an empty name takes it back."""
    return {SUCCESSOR_KEY: f"{machine.id}/{name}" if name else ""}


def successor_of(machine: Machine) -> str:
    """Return the name of the machine that is about to take the place of this one, empty when none is."""
    of, _, name = machine.metadata.get(SUCCESSOR_KEY, "").partition("/")
    return name if of == machine.id else ""


def named(machines: Iterable[Machine], owner: str, label: str) -> list[Machine]:
    """Return the machines of a label that have one of its names, those that are about to go first."""
    ours = (m for m in machines if m.owner == owner and m.label == label and m.name in own_names(label))
    return sorted(ours, key=lambda m: (not successor_of(m), m.name))
