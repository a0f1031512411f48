"""What a sweep's results come to: a table of operations and kinds of fault, as docs/proof.md has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from proof.crashes import CRASHES
from proof.faults import FAULTS
from proof.operations import OPERATIONS

Line = Mapping[str, Any]


def table(results: Iterable[Line]) -> str:
    """Return a Markdown table: a row for each operation, a column for each fault, with how many cases held of how many.

    A case that did not meet its fault, because that run made fewer calls of the kind, is not counted.
    """
    met = [line for line in results if line["hits"]]
    kinds = [*FAULTS, *CRASHES]
    rows = [_row(name, [line for line in met if _operation(line) == name], kinds) for name in OPERATIONS]
    head = ["operation", *kinds, "all", "at once"]
    return "\n".join(["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]])


def _row(name: str, of_operation: Sequence[Line], kinds: Sequence[str]) -> list[str]:
    cells = [_held([line for line in of_operation if _fault(line) == kind]) for kind in kinds]
    at_once = sum(line["survived"] for line in of_operation)
    return [f"`{name}`", *cells, _held(of_operation), str(at_once)]


def _held(lines: Sequence[Line]) -> str:
    held = sum(not line["violations"] for line in lines)
    return str(held) if held == len(lines) else f"**{held} of {len(lines)}**"


def _operation(line: Line) -> str:
    return str(line["name"]).partition(" | ")[0]


def _fault(line: Line) -> str:
    return str(line["name"]).rpartition(" | ")[2]
