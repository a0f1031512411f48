"""What the engine's events say of a preview or an update: changes by name, outputs before and after, errors.

Values are never kept, only the names of what changes: an event may hold a value that is nobody else's business.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi.automation import EngineEvent

_STACK = "pulumi:pulumi:Stack"
# A replacement is told as three steps; the one named "replace" stands for all of them.
_KINDS = {"create": "create", "update": "update", "delete": "delete", "replace": "replace"}
_COLOUR = re.compile(r"<\{%.*?%\}>")
_ENGINES_OWN = frozenset({"__provider", "__internal"})


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that changes.

    Attributes:
        op: create, update, replace or delete.
        kind: the short type, such as fly:Machine.
        name: the logical name.
        keys: inputs that differ, as dotted paths; empty for creates and deletes.
    """

    op: str
    kind: str
    name: str
    keys: tuple[str, ...] = ()


@dataclass
class Changes:
    """All that a run of the engine told.

    Attributes:
        before: the stack's outputs as they are, secrets masked.
        after: the stack's outputs as they will be; what is not known yet is a text of the engine's.
        errors: error messages and broken mandatory policies.
    """

    changes: list[Change] = field(default_factory=list)
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[EngineEvent]) -> Changes:
        """Read the events of one run."""
        read = cls()
        for event in events:
            read.take(event)
        return read

    def take(self, event: EngineEvent) -> None:
        """Read one event."""
        if event.resource_pre_event is not None:
            self._step(event.resource_pre_event.metadata)
        elif event.res_outputs_event is not None and event.res_outputs_event.metadata.type == _STACK:
            self._outputs(event.res_outputs_event.metadata)
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            self._error(event.diagnostic_event.message)
        elif event.policy_event is not None and event.policy_event.enforcement_level == "mandatory":
            self._error(f"policy {event.policy_event.policy_name}: {event.policy_event.message}")

    def counts(self) -> dict[str, int]:
        """How many resources are created, updated, …, in that order; none of them zero."""
        counted = Counter(change.op for change in self.changes)
        return {op: counted[op] for op in _KINDS.values() if counted[op]}

    def _step(self, step: Any) -> None:
        op = _KINDS.get(getattr(step.op, "value", step.op))
        if op is None or step.type == _STACK or step.type.startswith(("prefectfly:", "pulumi:providers:")):
            return
        keys = _keys(step) if op in {"update", "replace"} else ()
        self.changes.append(Change(op=op, kind=_short(step.type), name=step.urn.rpartition("::")[2], keys=keys))

    def _outputs(self, step: Any) -> None:
        self.before = (step.old.outputs if step.old else None) or {}
        self.after = (step.new.outputs if step.new else None) or {}

    def _error(self, message: str) -> None:
        text = _COLOUR.sub("", message).strip()
        if text:
            self.errors.append(text)


def _short(kind: str) -> str:
    """`pulumi-python:dynamic/fly:Machine` is `fly:Machine`, `command:local:Command` is `command:Command`."""
    package, module, name = kind.split(":")
    return f"{module.removeprefix('dynamic/')}:{name}" if package == "pulumi-python" else f"{package}:{name}"


def _keys(step: Any) -> tuple[str, ...]:
    old, new = (side.inputs if side else None for side in (step.old, step.new))
    keys = {*(step.diffs or []), *(step.detailed_diff or {}), *_differing(old or {}, new or {})}
    # "triggers" beside "triggers[1]" says nothing more.
    return tuple(sorted(key for key in keys if not any(_below(other, key) for other in keys)))


def _below(path: str, key: str) -> bool:
    return path != key and path.startswith((f"{key}.", f"{key}["))


def _differing(old: Any, new: Any, path: str = "") -> Iterable[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in {*old, *new} - _ENGINES_OWN:
            yield from _differing(old.get(key), new.get(key), f"{path}.{key}" if path else str(key))
    elif old != new:
        yield path
