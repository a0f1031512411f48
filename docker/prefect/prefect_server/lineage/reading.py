"""Reads what Prefect's events say about assets. Whatever an event holds, reading it never raises.

Events come from any client of the API, so only the envelope can be trusted: an id, a time, and a resource whose values
are strings. What a field should hold and does not is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SUCCEEDED = "prefect.asset.materialization.succeeded"
FAILED = "prefect.asset.materialization.failed"
REFERENCED = "prefect.asset.referenced"

# Prefect's own limit for keys is 512 characters; Postgres's for an indexed text is some 2,700 bytes.
LONGEST_KEY_BYTES = 2000
LONGEST_TEXT = 4000
MOST_OWNERS = 50


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an event says about an asset; None where it says nothing."""

    key: str
    at: datetime
    name: str | None = None
    description: str | None = None
    url: str | None = None
    owners: list[str] | None = None


def read_description(row: Mapping[str, Any]) -> Description | None:
    """Read what an event says about its asset, which may be nothing; None when it is no asset that could be kept."""
    resource = _mapping(row["resource"])
    key = _key(resource.get("prefect.resource.id"))
    if key is None:
        return None
    owners = [text for each in _list(resource.get("prefect.asset.owners")) if (text := _text(each))]
    return Description(
        key=key,
        at=row["occurred"],
        name=_text(resource.get("prefect.resource.name")),
        description=_text(resource.get("prefect.asset.description")),
        url=_text(resource.get("prefect.asset.url")),
        owners=owners[:MOST_OWNERS] or None,
    )


def newest(descriptions: Iterable[Description]) -> list[Description]:
    """Put what several events say about the same asset together; a later one wins field by field."""
    found: dict[str, Description] = {}
    for each in sorted(descriptions, key=lambda one: one.at):
        before = found.get(each.key)
        found[each.key] = each if before is None else _over(before, each)
    return list(found.values())


def _over(before: Description, after: Description) -> Description:
    return Description(
        key=after.key,
        at=after.at,
        name=after.name or before.name,
        description=after.description or before.description,
        url=after.url or before.url,
        owners=after.owners or before.owners,
    )


def _json(text: object) -> object:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None


def _mapping(text: object) -> Mapping[str, object]:
    found = _json(text)
    return found if isinstance(found, dict) else {}


def _list(text: object) -> list[object]:
    found = _json(text)
    return found if isinstance(found, list) else []


def _text(value: object) -> str | None:
    # Postgres takes neither this character nor half of a surrogate pair.
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode(errors="ignore").decode()[:LONGEST_TEXT] or None


def _key(value: object) -> str | None:
    text = _text(value)
    return text if text == value and text and len(text.encode()) <= LONGEST_KEY_BYTES else None
