"""The calls of a run, with what differs from run to run taken out of their paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

_VARIABLE = re.compile(
    r"(?<=/)("
    r"[0-9a-f]{14}"  # a machine
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a workspace of Prefect Cloud and what is in it
    r"|\d+"  # a run, a monitor
    r"|\d+\.\d+\.\d+\.\d+|[0-9a-f]+:[0-9a-f:]+"  # an address
    r")(?=/|$)"
)
_ANY = "{id}"
# What others than the engine ask a server for again and again: the orchestrator, and a monitor.
_SERVERS = frozenset({"edge", "cloud"})
_POLLS = re.compile(r"/(flows/filter|ready)$")


@dataclass(frozen=True, order=True)
class Route:
    """One kind of call."""

    service: str
    method: str
    path: str

    @classmethod
    def of(cls, call: Mapping[str, Any]) -> Route:
        """Return the kind of a journal entry."""
        return cls(call["service"], call["method"], _VARIABLE.sub(_ANY, call["path"]))

    @property
    def pattern(self) -> str:
        """Return the regular expression that finds this kind of path, and no longer one."""
        return f"^{re.escape(self.path).replace(re.escape(_ANY), '[^/]+')}$"

    @property
    def is_polled(self) -> bool:
        """Tell whether others than the engine ask for it all the time, so that nobody knows who makes which call."""
        return self.service in _SERVERS and bool(_POLLS.search(self.path))

    def __str__(self) -> str:
        """Name it in a line."""
        return f"{self.service} {self.method} {self.path}"


def occurrences(journal: Iterable[Mapping[str, Any]]) -> dict[Route, int]:
    """Return how often each kind of call was made; calls repeated in a row, as polls are, count once.

    What polls the server all the time, whatever the engine does, is left out.
    """
    routes = (route for route in map(Route.of, journal) if not route.is_polled)
    return dict(Counter(route for route, _calls in groupby(routes)))
