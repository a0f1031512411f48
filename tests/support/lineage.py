"""Asks a real server for its lineage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from tests.image.conftest import KEYS
from tests.support.prefect_server import Program
from tests.support.waiting import until

HEADERS = {"Authorization": f"Bearer {KEYS['admin']}"}


def ask(server: Program, path: str = "", **query: object) -> Any:
    """The JSON that is answered below /api/lineage."""
    reply = requests.get(f"{server.api_url}/lineage{path}", headers=HEADERS, params=query, timeout=600)  # type: ignore[arg-type]
    assert reply.ok, reply.text
    return reply.json()


def edges(graph: Any) -> set[tuple[str, str]]:
    """The edges of a graph as pairs of keys, upstream first."""
    keys = [asset["key"] for asset in graph["assets"]]
    return {(keys[edge[0]], keys[edge[1]]) for edge in graph["edges"]}


def wait_for(server: Program, wanted: Callable[[Any], bool]) -> Any:
    """The first graph that is as wanted; events are written and read every few seconds."""
    seen: list[Any] = [None]

    def as_wanted() -> bool:
        seen[0] = ask(server)
        return wanted(seen[0])

    until(as_wanted, lambda: f"not as wanted: {seen[0]}\n{server.log[-3000:]}", every=0.5)
    return seen[0]
