"""What `status` found: lines of a screen, each with what a program wants to know of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

State = Literal["ok", "note", "problem", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line.

    Attributes:
        part: server, machine, database, …; several lines may be of one.
        state: unknown means that it could not be asked, which is not well either.
        text: for people, without the part's name.
        facts: for programs; what could not be asked has none.
    """

    part: str
    state: State
    text: str
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report:
    """All lines of one look, with the stack and its world. `asked_at` is unix seconds."""

    stack: str
    world: str
    asked_at: float
    lines: tuple[Line, ...]

    @property
    def well(self) -> bool:
        """Tell whether everything could be asked and nothing is a problem."""
        return all(line.state in {"ok", "note"} for line in self.lines)

    def to_json(self) -> str:
        """Return one line of JSON; keys are an interface, docs/ops.md lists them."""
        parts = [{"part": line.part, "state": line.state, "text": line.text, **line.facts} for line in self.lines]
        return json.dumps(
            {"stack": self.stack, "world": self.world, "asked_at": self.asked_at, "well": self.well, "parts": parts}
        )


def age(seconds: float) -> str:
    """Return how long ago that is, in the largest unit that fits: "4 min ago"."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{max(seconds, 0.0):.0f} s ago"


def megabytes(size: float) -> str:
    """Return bytes as people write them."""
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def worst(states: Iterable[State]) -> State:
    """Return the worst of them; ok when there are none."""
    order: tuple[State, ...] = ("ok", "note", "unknown", "problem")
    return max(states, key=order.index, default="ok")
