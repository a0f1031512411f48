"""Draw a stack's graph as it stands in its state: `pulumi stack export | python -m proof.graph` prints Mermaid.

Boxes have state, rounded ones are Commands; an arrow leads from what must be there first. Components and providers are
left out, and arrows that others imply.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_LEFT_OUT = ("pulumi:pulumi:", "pulumi:providers:", "prefectfly:")
# The address in a name is the sandbox's, with a port that is another one each time.
_HOST = re.compile(r"[\w.-]+:\d+(?=/)")


def drawn(resources: Sequence[Mapping[str, Any]]) -> str:
    """Return the Mermaid text of a state's resources, the same for the same stack."""
    kept = {each["urn"]: each for each in resources if not each["type"].startswith(_LEFT_OUT)}
    before = {urn: {other for other in each.get("dependencies") or () if other in kept} for urn, each in kept.items()}
    order = sorted(kept, key=lambda urn: (_depth(urn, before), _label(kept[urn])))
    names = {urn: f"r{number}" for number, urn in enumerate(order, 1)}
    nodes = [f"  {names[urn]}{_box(kept[urn])}" for urn in order]
    arrows = [
        f"  {names[first]} --> {names[urn]}" for urn in order for first in sorted(_direct(urn, before), key=order.index)
    ]
    return "\n".join(["flowchart TD", *nodes, *arrows])


def _depth(urn: str, before: Mapping[str, set[str]]) -> int:
    return 1 + max((_depth(other, before) for other in before[urn]), default=0)


def _direct(urn: str, before: Mapping[str, set[str]]) -> set[str]:
    """Return what a resource waits for, without what that waits for itself."""
    implied: set[str] = set()
    waiting = list(before[urn])
    while waiting:
        found = before[waiting.pop()] - implied
        implied |= found
        waiting += found
    return before[urn] - implied


def _box(resource: Mapping[str, Any]) -> str:
    label = f'"{_label(resource)}"'
    return f"([{label}])" if resource["type"].startswith("command:") else f"[{label}]"


def _label(resource: Mapping[str, Any]) -> str:
    kind = ":".join(part.rpartition("/")[2] for part in resource["type"].split(":")[-2:])
    name = _HOST.sub("HOST", resource["urn"].rpartition("::")[2])
    return f"{kind.removeprefix('local:')}<br/>{name}"


if __name__ == "__main__":
    sys.stdout.write(f"{drawn(json.load(sys.stdin)['deployment']['resources'])}\n")
