"""Between the engine's property values and plain Python data, with secretness and differences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from toolchain.standins.protocol import UNKNOWN, Properties, PropertyDiff, PropertyDiffKind, PropertyValue

_MISSING = object()


def plain(value: PropertyValue) -> Any:
    """The value without its secretness; an unknown stays the engine's sentinel string."""
    inner = value.value
    if isinstance(inner, Mapping):
        return {key: plain(item) for key, item in inner.items()}
    if isinstance(inner, Sequence) and not isinstance(inner, str):
        return [plain(item) for item in inner]
    return inner


def plain_map(properties: Properties) -> dict[str, Any]:
    """Every property as plain data; null ones are left out, as the real plugins do."""
    values = {key: plain(value) for key, value in properties.items()}
    return {key: value for key, value in values.items() if value is not None}


def wrap(value: Any) -> PropertyValue:
    """The property value of plain data."""
    if isinstance(value, dict):
        return PropertyValue({key: wrap(item) for key, item in value.items()})
    if isinstance(value, list):
        return PropertyValue([wrap(item) for item in value])
    return PropertyValue(float(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def unknown() -> PropertyValue:
    """What a preview answers for an output nobody can know yet."""
    return PropertyValue(UNKNOWN)


def differences(old: Any, new: Any, path: str = "") -> dict[str, PropertyDiff]:
    """What changed between two pieces of plain data, by the engine's property paths (`triggers[0]`, `build.args`)."""
    found: dict[str, PropertyDiff] = {}
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            step = f"{path}.{key}" if path else key
            found |= differences(old.get(key, _MISSING), new.get(key, _MISSING), step)
        return found
    if isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            before, after = (items[index] if index < len(items) else _MISSING for items in (old, new))
            found |= differences(before, after, f"{path}[{index}]")
        return found
    return {} if old == new else {path: PropertyDiff(_kind(old, new), input_diff=True)}


def top_level(found: dict[str, PropertyDiff]) -> list[str]:
    """The properties that differences are in, each once; the engine's short display shows these."""
    return sorted({re.split(r"[.\[]", path, maxsplit=1)[0] for path in found})


def replacing(diff: PropertyDiff) -> PropertyDiff:
    """The same difference, as one that needs a new resource."""
    return PropertyDiff(PropertyDiffKind[f"{diff.kind.name}_REPLACE"], diff.input_diff)


def _kind(old: object, new: object) -> PropertyDiffKind:
    if old is _MISSING:
        return PropertyDiffKind.ADD
    return PropertyDiffKind.DELETE if new is _MISSING else PropertyDiffKind.UPDATE
