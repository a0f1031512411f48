"""Reading and addressing Fly's APIs: quoted paths, and replies that are read leniently."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from clients.wire import Wire

__all__ = ["Wire", "path", "record", "records"]


def path(*segments: str) -> str:
    """Return `/v1/…` with every segment quoted, so that no name can reach another route."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def record(value: object) -> dict[str, Any]:
    """Return `value` when it is a JSON object, else an empty one: replies are read leniently."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[dict[str, Any]]:
    """Return the JSON objects of a list, else nothing."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
