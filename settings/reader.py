"""Reads a frozen tree of dataclasses from a stack's configuration and describes it.

A field's metadata holds its sentence of documentation and its limits, so that reading, the README's table and the JSON
schema come from one place. All problems of a stack are collected before any is reported.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

_TYPE_NAMES = {str: "text", bool: "true or false", int: "a whole number"}
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer"}


def setting(
    default: Any = MISSING,
    *,
    doc: str,
    example: str | None = None,
    low: int | None = None,
    high: int | None = None,
    pattern: str | None = None,
) -> Any:
    """Declare a setting: no `default` makes it required; `low`, `high` bound numbers; `pattern` matches whole texts."""
    metadata = {"doc": doc, "example": example, "low": low, "high": high, "pattern": pattern}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def camel(name: str) -> str:
    """Spell a field as the stack file does: `memory_mb` is `memoryMb`."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


class Problems(list[str]):
    """What is wrong with a stack's configuration, one sentence each."""

    def add(self, key: str, reason: str) -> None:
        """Remember that `key` cannot stay as it is."""
        self.append(f"{key}: {reason}")


def read_group(kind: type[T], raw: object, path: str, problems: Problems) -> T:
    """Build `kind` from one group of the stack file; a field with a problem keeps its default (or None) meanwhile."""
    if not isinstance(raw, Mapping):
        problems.add(path, "give a group of settings, not a single value")
        raw = {}
    hints = get_type_hints(kind)
    fields = {camel(item.name): item for item in dataclasses.fields(cast("Any", kind))}
    for key in raw:
        if key not in fields:
            problems.add(f"{path}.{key}", f"no such setting. Known here: {', '.join(sorted(fields))}")
    values = {}
    for key, item in fields.items():
        if key in raw and raw[key] is not None:
            values[item.name] = _read(raw[key], hints[item.name], item, f"{path}.{key}", problems)
        else:
            values[item.name] = _default(item, f"{path}.{key}", problems)
    return kind(**values)


def _default(item: dataclasses.Field[Any], path: str, problems: Problems) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    if item.default is not MISSING:
        return item.default
    example = item.metadata.get("example")
    hint = f', for example "pulumi config set --path prefect-fly:{path} {example}"' if example else ""
    problems.add(path, f"it is required. Set it{hint}")
    return None


def _read(value: object, hint: Any, item: dataclasses.Field[Any], path: str, problems: Problems) -> Any:
    hint = _strip_optional(hint)
    origin = get_origin(hint)
    if origin is Literal:
        return _read_choice(value, get_args(hint), path, problems)
    if origin is tuple:
        return _read_list(value, get_args(hint)[0], item, path, problems)
    if origin is dict:
        return _read_mapping(value, path, problems)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        problems.add(path, f"{value!r} is not {_TYPE_NAMES[hint]}")
        return _fallback(item)
    _check_limits(value, item, path, problems)
    return value


def _strip_optional(hint: Any) -> Any:
    if get_origin(hint) in {Union, types.UnionType}:
        return next(part for part in get_args(hint) if part is not type(None))
    return hint


def _fallback(item: dataclasses.Field[Any]) -> Any:
    return None if item.default is MISSING else item.default


def _read_choice(value: object, choices: tuple[Any, ...], path: str, problems: Problems) -> Any:
    if value not in choices:
        problems.add(path, f"{value!r} is not one of {', '.join(map(str, choices))}")
        return choices[0]
    return value


def _read_list(value: object, kind: type, item: dataclasses.Field[Any], path: str, problems: Problems) -> Any:
    if not isinstance(value, list) or not all(isinstance(x, kind) and not isinstance(x, bool) for x in value):
        problems.add(path, f"{value!r} is not a list of {_TYPE_NAMES[kind].removeprefix('a ')}s")
        return _fallback(item)
    for position, element in enumerate(value):
        _check_limits(element, item, f"{path}[{position}]", problems)
    return tuple(value)


def _read_mapping(value: object, path: str, problems: Problems) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(x, str) for x in value.values()):
        problems.add(path, "give names with a text each")
        return {}
    return {str(key): text for key, text in value.items()}


def _check_limits(value: object, item: dataclasses.Field[Any], path: str, problems: Problems) -> None:
    low, high, pattern = (item.metadata.get(key) for key in ("low", "high", "pattern"))
    if isinstance(value, int) and not isinstance(value, bool):
        if low is not None and value < low:
            problems.add(path, f"{value} is below {low}")
        if high is not None and value > high:
            problems.add(path, f"{value} is above {high}")
    if isinstance(value, str) and pattern and not re.fullmatch(pattern, value):
        problems.add(path, f'"{value}" does not look right (it must match {pattern})')


@dataclass(frozen=True)
class Row:
    """One line of the README's configuration table."""

    key: str
    default: str
    doc: str


def rows(kind: type, path: str) -> Iterator[Row]:
    """Describe every field of `kind`."""
    for item in dataclasses.fields(cast("Any", kind)):
        yield Row(f"{path}.{camel(item.name)}", _show_default(item), item.metadata["doc"])


def _show_default(item: dataclasses.Field[Any]) -> str:
    if item.default_factory is not MISSING:
        return "{}"
    if item.default is MISSING:
        return "(required)"
    if item.default is None:
        return "(none)"
    if isinstance(item.default, tuple):
        return "[" + ", ".join(map(str, item.default)) + "]"
    return str(item.default).lower() if isinstance(item.default, bool) else str(item.default)


def json_schema(kind: type) -> dict[str, Any]:
    """Describe `kind` as a JSON schema object."""
    hints = get_type_hints(kind)
    properties = {
        camel(item.name): {"description": item.metadata["doc"], **_schema_of(hints[item.name], item)}
        for item in dataclasses.fields(cast("Any", kind))
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _schema_of(hint: Any, item: dataclasses.Field[Any]) -> dict[str, Any]:
    hint = _strip_optional(hint)
    origin = get_origin(hint)
    if origin is Literal:
        return {"enum": list(get_args(hint))}
    if origin is tuple:
        return {"type": "array", "items": {"type": _JSON_TYPES[get_args(hint)[0]]}}
    if origin is dict:
        return {"type": "object", "additionalProperties": {"type": "string"}}
    names = {"low": "minimum", "high": "maximum", "pattern": "pattern"}
    limits = {names[key]: item.metadata[key] for key in names if item.metadata.get(key) is not None}
    return {"type": _JSON_TYPES[hint], **limits}
