"""Reads Prefect's events about assets. Whatever an event holds, reading it never raises.

Events come from any client of the API, so only the envelope can be trusted: an id, a time, and a resource whose values
are strings. What a field should hold and does not is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

SUCCEEDED = "prefect.asset.materialization.succeeded"
FAILED = "prefect.asset.materialization.failed"
REFERENCED = "prefect.asset.referenced"

# Prefect's own limit for keys is 512 characters; Postgres's for an indexed text is some 2,700 bytes.
LONGEST_KEY_BYTES = 2000
LONGEST_TEXT = 4000
MOST_UPSTREAM = 1000
MOST_OWNERS = 50
_KINDS = ("flow-run", "flow", "task-run", "deployment")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an event says about an asset; None where it says nothing."""

    key: str
    at: datetime
    name: str | None = None
    description: str | None = None
    url: str | None = None
    owners: list[str] | None = None

    @property
    def says_something(self) -> bool:
        """Tell whether there is more than the key."""
        return any((self.name, self.description, self.url, self.owners))


@dataclass(frozen=True, kw_only=True)
class Party:
    """A flow run, flow, task run or deployment that an event names."""

    id: UUID | None = None
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class AssetRun:
    """One materialisation of one asset, whether it succeeded or failed.

    `metadata` is JSON text as the database has it. `made_by` is the tool that the code names, such as "dbt".
    """

    event_id: UUID
    key: str
    occurred: datetime
    succeeded: bool
    upstream: tuple[str, ...]
    flow_run: Party
    flow: Party
    task_run: Party
    deployment: Party
    made_by: str | None
    metadata: str | None


def read_run(row: Mapping[str, Any]) -> AssetRun | None:
    """Read one row of events: id, event, occurred, and as JSON text resource, related and payload.

    Returns:
        None when the event is about no asset that could be kept.
    """
    key = _key(_mapping(row["resource"]).get("prefect.resource.id"))
    if key is None or row["event"] not in {SUCCEEDED, FAILED}:
        return None
    related = [each for each in _list(row["related"]) if isinstance(each, dict)]
    upstream = {_key(each.get("prefect.resource.id")) for each in related if _role(each) == "asset"} - {None}
    makers = [_text(each.get("prefect.resource.id")) for each in related if _role(each) == "asset-materialized-by"]
    parties = {kind: _party(related, kind) for kind in _KINDS}
    return AssetRun(
        event_id=row["id"],
        key=key,
        occurred=row["occurred"],
        succeeded=row["event"] == SUCCEEDED,
        upstream=tuple(sorted(each for each in upstream if each)[:MOST_UPSTREAM]),
        flow_run=parties["flow-run"],
        flow=parties["flow"],
        task_run=parties["task-run"],
        deployment=parties["deployment"],
        made_by=next(iter(makers), None),
        metadata=row["payload"] if isinstance(row["payload"], str) else None,
    )


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


def _role(related: Mapping[str, object]) -> object:
    return related.get("prefect.resource.role")


def _party(related: Iterable[Mapping[str, object]], kind: str) -> Party:
    for each in related:
        if _role(each) == kind:
            identifier = _text(each.get("prefect.resource.id")) or ""
            return Party(
                id=_uuid(identifier.removeprefix(f"prefect.{kind}.")), name=_text(each.get("prefect.resource.name"))
            )
    return Party()


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
