"""Reading decoded replies: what an API must have answered for anything to go on, and what may be missing.

What identifies an object, and the list that was asked for, must be there: a list that was never sent would read as an
empty one, and what is in it as gone. All else is read leniently, and unknown fields are ignored.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}


NO_JSON = object()
"""What `decoded` returns for what is none; None is JSON's null."""


class ShapeError(ValueError):
    """A reply is not what the API is known to answer. The text is for the middle of a sentence and repeats no value."""


def decoded(body: bytes) -> Any:
    """Return what a body holds, NO_JSON for another syntax or encoding, and for depth and numbers without end."""
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return NO_JSON


def whole_object(value: object, what: str = "it") -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ShapeError: it is something else.
    """
    if not isinstance(value, dict):
        raise ShapeError(f"{what} is {_kind(value)} instead of an object")
    return value


def whole_list(value: object, what: str = "it") -> list[dict[str, Any]]:
    """Return a list of JSON objects. null is an empty one: that is how Go spells it.

    Raises:
        ShapeError: it is something else, or holds something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise ShapeError(f"{what} is {_kind(value)} instead of a list")
    return [whole_object(entry, f"an entry of {what}") for entry in value]


def listed(body: object, key: str) -> list[dict[str, Any]]:
    """Return the list of objects that a JSON object holds as `key`.

    Raises:
        ShapeError: it holds none.
    """
    entries = whole_object(body)
    if key not in entries:
        raise ShapeError(f'it has no "{key}"')
    return whole_list(entries[key], f'"{key}"')


def identity(entry: Mapping[str, Any], key: str = "id") -> str:
    """Return the text that identifies an object.

    Raises:
        ShapeError: it has none.
    """
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise ShapeError(f'"{key}" is {_kind(value)} instead of a text')
    return value


def number(entry: Mapping[str, Any], key: str = "id") -> int:
    """Return a whole number that must be there, also where it is spelled as a text.

    Raises:
        ShapeError: it is none.
    """
    value = entry.get(key)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ShapeError(f'"{key}" is {_kind(value)} instead of a whole number')
    return value


def record(value: object) -> dict[str, Any]:
    """Return `value` when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[dict[str, Any]]:
    """Return the JSON objects of a list, else nothing."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def whole(value: object) -> int:
    """Return a whole number, 0 for what is none."""
    seconds = finite(value)
    return 0 if seconds is None else int(seconds)


def finite(value: object) -> float | None:
    """Return a number, None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _no_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a number")
