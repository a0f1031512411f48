"""Blocks, automations and events, as far as a stack uses Prefect's API of them: for the stand-in of the server.

They are kept in one file, as in a database that all machines share. Nothing is ever sent: an automation that hears of
an event counts as executed.
"""

from __future__ import annotations

import fcntl
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

Answer = tuple[int, object]
Kept = dict[str, list[dict[str, Any]]]

_MISSING: Answer = (404, {"detail": "Not found"})
_KINDS = ("block_documents", "automations", "events")


class Objects:
    """What is kept in a file.

    Args:
        file: made when something is first kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def answer(self, method: str, path: str, body: Any) -> Answer | None:
        """Return status and body for a call below /api; None for a route that is not one of these."""
        for wanted, pattern, play in _ROUTES:
            if method == wanted and (found := re.fullmatch(pattern, path)):
                with self._opened() as kept:
                    return play(kept, body, *found.groups())
        return None

    def everything(self) -> Kept:
        """Return what is kept, by kind."""
        with self._opened() as kept:
            return kept

    @contextmanager
    def _opened(self) -> Iterator[Kept]:
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            kept: Kept = json.loads(file.read() or "null") or {kind: [] for kind in _KINDS}
            yield kept
            file.truncate(0)
            file.write(json.dumps(kept))


def _type(_kept: Kept, _body: Any, slug: str) -> Answer:
    return 200, {"id": slug}


def _schemas(_kept: Kept, body: Any) -> Answer:
    return 200, [{"id": f"schema-{body['block_schemas']['block_type_id']['any_'][0]}"}]


def _document(kept: Kept, _body: Any, slug: str, name: str) -> Answer:
    found = [each for each in kept["block_documents"] if (each["block_type_id"], each["name"]) == (slug, name)]
    return (200, found[0]) if found else _MISSING


def _make_document(kept: Kept, body: Any) -> Answer:
    if _document(kept, None, body["block_type_id"], body["name"]) != _MISSING:
        return 409, {"detail": "Block already exists"}
    return _make(kept, body, "block_documents")


def _make(kept: Kept, body: Any, kind: str) -> Answer:
    made = {"id": str(uuid4()), **body}
    kept[kind].append(made)
    return 201, made


def _found(kept: Kept, body: Any, kind: str) -> Answer:
    names = ((body.get(kind) or {}).get("name") or {}).get("any_")
    return 200, [each for each in kept[kind] if names is None or each["name"] in names]


def _one(kept: Kept, _body: Any, kind: str, id_: str) -> Answer:
    found = [each for each in kept[kind] if each["id"] == id_]
    return (200, found[0]) if found else _MISSING


def _change(kept: Kept, body: Any, kind: str, id_: str) -> Answer:
    for each in kept[kind]:
        if each["id"] == id_:
            each.update(body)
            return 204, None
    return _MISSING


def _remove(kept: Kept, _body: Any, kind: str, id_: str) -> Answer:
    left = [each for each in kept[kind] if each["id"] != id_]
    gone, kept[kind] = len(left) < len(kept[kind]), left
    return (204, None) if gone else _MISSING


def _send(kept: Kept, body: Any) -> Answer:
    """Take events; each automation that waits for one has then done what it does."""
    for event in body:
        kept["events"] += [
            {
                "event": "prefect.automation.action.executed",
                "resource": {"prefect.resource.id": f"prefect.automation.{automation['id']}"},
                "related": [{"prefect.resource.id": f"prefect.event.{event['id']}"}],
                "payload": {},
            }
            for automation in kept["automations"]
            if _hears(automation["trigger"], event)
        ]
    return 204, None


def _hears(trigger: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
    return event["event"] in trigger["expect"] and trigger["match"].items() <= event["resource"].items()


def _events(kept: Kept, body: Any) -> Answer:
    ids = body["filter"]["resource"]["id"]
    return 200, {"events": [each for each in kept["events"] if each["resource"]["prefect.resource.id"] in ids]}


_KIND = "(block_documents|automations)"
_ROUTES: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
    ("GET", "/block_types/slug/([^/]+)", _type),
    ("GET", "/block_types/slug/([^/]+)/block_documents/name/([^/]+)", _document),
    ("POST", "/block_schemas/filter", _schemas),
    ("POST", "/block_documents/", _make_document),
    ("POST", "/(automations)/", _make),
    ("POST", f"/{_KIND}/filter", _found),
    ("GET", f"/{_KIND}/([^/]+)", _one),
    ("PATCH", "/(block_documents)/([^/]+)", _change),
    ("PUT", "/(automations)/([^/]+)", _change),
    ("DELETE", f"/{_KIND}/([^/]+)", _remove),
    ("POST", "/events", _send),
    ("POST", "/events/filter", _events),
)
