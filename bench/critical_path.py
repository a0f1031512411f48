"""The longest chain of an update's steps, from what the engine said of them, the state and the sandbox's journal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_COMPONENTS = ("pulumi:pulumi:Stack", "prefectfly:")
# Which calls are a step's own, where steps run side by side: by the end of its type, on service and path.
_OWN = {
    "fly:App": r"^fly /v1/(apps(/[^/]+(/machines)?)?|tokens/.*)$",
    "fly:IpAddress": r"^fly .*/ip_assignments",
    "fly:Secrets": r"^fly .*/secrets$",
    "fly:Machine": r"^fly .*/machines",
    "betterstack:Monitor": r"^betterstack ",
    "github": r"^github /api/v3/",
    "command:local:Command": r"^fly .*/machines|^fly .*-orchestrator/|^github /(repos|user)",
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """One resource of an update; times in unix seconds.

    Attributes:
        name: its type and name, short.
        began: when the engine began it.
        ended: when the engine had its outputs.
        first: when its first call was sent, None when it made none that the journal has.
        last: when its last call was answered.
        before: URNs of what it waits for.
    """

    name: str
    began: float
    ended: float
    first: float | None
    last: float | None
    before: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """How long the engine was at it."""
        return self.ended - self.began

    @property
    def of_calls(self) -> float:
        """From its first call to the last answer, waits included; all of it when the journal has no call of it."""
        return self.seconds if self.first is None or self.last is None else self.last - self.first

    def __str__(self) -> str:
        """Return a line that shows where its time went."""
        if self.first is None or self.last is None:
            return f"{self.name}: {self.seconds:.2f} s"
        own = f"{self.first - self.began:.2f} before its first call, {self.ended - self.last:.2f} after its last"
        return f"{self.name}: {self.seconds:.2f} s, of these {own}"


def steps(
    events: Iterable[tuple[float, Mapping[str, Any]]],
    resources: Iterable[Mapping[str, Any]],
    journal: Sequence[Mapping[str, Any]],
    *,
    operation: str = "create",
    delay: float = 0.0,
) -> dict[str, Step]:
    """Return the steps by URN, components left out.

    Args:
        events: the engine's, with when each was seen.
        resources: of the state.
        journal: the calls; two steps of one kind at the same time share theirs.
        operation: which steps are meant.
        delay: seconds by which the sandbox delays an answer.
    """
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    for at, event in events:
        for kind, times in (("resourcePreEvent", began), ("resOutputsEvent", ended)):
            metadata = event.get(kind, {}).get("metadata", {})
            if metadata.get("op") == operation:
                times[metadata["urn"]] = at
    found = {}
    for each in resources:
        urn, kind = each["urn"], each["type"]
        if urn not in ended or kind.startswith(_COMPONENTS):
            continue
        calls = [call["time"] for call in journal if _own(kind, call) and began[urn] <= call["time"] <= ended[urn]]
        found[urn] = Step(
            name=f"{kind.rpartition('/')[2]} {urn.rpartition('::')[2]}",
            began=began[urn],
            ended=ended[urn],
            first=max(began[urn], min(calls) - delay) if calls else None,
            last=max(calls) if calls else None,
            before=(*(each.get("dependencies") or ()), each.get("provider", "").rpartition("::")[0]),
        )
    return found


def longest(found: Mapping[str, Step], seconds: Mapping[str, float]) -> list[Step]:
    """Return the chain of steps, each waiting for the one before, whose seconds are the most in all."""
    best: dict[str, tuple[float, list[str]]] = {}

    def until(urn: str) -> tuple[float, list[str]]:
        if urn not in best:
            earlier = max((until(other) for other in found[urn].before if other in found), default=(0.0, []))
            best[urn] = (earlier[0] + seconds[urn], [*earlier[1], urn])
        return best[urn]

    return [found[urn] for urn in max((until(urn) for urn in found), default=(0.0, []))[1]]


def _own(kind: str, call: Mapping[str, Any]) -> bool:
    pattern = next((own for end, own in _OWN.items() if kind.endswith(end) or kind.startswith(end)), None)
    return pattern is not None and re.search(pattern, f"{call['service']} {call['path']}") is not None
