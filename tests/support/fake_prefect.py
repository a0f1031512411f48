"""Prefect's API in memory, as far as the providers of its objects use it: a stand-in for requests.Session."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import requests

from tests.support.scripted_http import answer

JSON = {"Content-Type": "application/json"}


class FakePrefect(requests.Session):
    """Objects by route and id; `fault` is what every call gets instead while it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, dict[str, Any]]] = {}
        self.fault: requests.Response | Exception | None = None
        self.sent: list[tuple[str, str]] = []
        self._last = 0

    def request(self, method: str, url: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """Answer one call."""
        path = url.partition("/api")[2]
        self.sent.append((method, path))
        if isinstance(self.fault, Exception):
            raise self.fault
        if self.fault is not None:
            return self.fault
        return self._answer(method, path, given.get("json"))

    def put(self, kind: str, **content: Any) -> dict[str, Any]:  # type: ignore[override]
        """Make an object by hand and return it."""
        self._last += 1
        made = {"id": f"id-{self._last}", **content}
        self.objects.setdefault(kind, {})[made["id"]] = made
        return made

    def _answer(self, method: str, path: str, body: Any) -> requests.Response:
        kind = path.split("/")[1]
        kept = self.objects.setdefault(kind, {})
        if method == "GET" and path.startswith("/block_types/slug/"):
            return self._block_type(path)
        if method == "POST" and path.endswith("/filter"):
            names = (body.get(kind) or {}).get("name", {}).get("any_")
            found = [each for each in kept.values() if names is None or each.get("name") in names]
            return answer(200, found or ([{"id": "schema"}] if kind == "block_schemas" else []), JSON)
        if method == "POST":
            return answer(201, self.put(kind, **body), JSON)
        return self._of_one(method, kept, path, body)

    def _block_type(self, path: str) -> requests.Response:
        named = re.fullmatch(r"/block_types/slug/[^/]+/block_documents/name/([^/]+)", path)
        if not named:
            return answer(200, {"id": "type"}, JSON)
        return self._shown(self._named(self.objects.setdefault("block_documents", {}), named[1]))

    def _of_one(self, method: str, kept: dict[str, Any], path: str, body: Any) -> requests.Response:
        last = path.rpartition("/")[2]
        found = kept.get(last) or self._named(kept, last)
        if found is None or method == "GET":
            return self._shown(found)
        if method == "DELETE":
            del kept[found["id"]]
        else:
            found.update(body)
        return answer(204)

    @staticmethod
    def _named(kept: Mapping[str, Any], name: str) -> dict[str, Any] | None:
        return next((each for each in kept.values() if each.get("name") == unquote(name)), None)

    @staticmethod
    def _shown(found: dict[str, Any] | None) -> requests.Response:
        return answer(200, found, JSON) if found else answer(404, {"detail": "Not found"}, JSON)
