"""One request function for every Fly noun: paths in, JSON out, typed errors up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from clients.fly.errors import error_of, unreachable
from clients.transport import Call, NoAnswerError, Reply, Transport


def path(*segments: str) -> str:
    """Return `/v1/…` with every segment quoted, so that no name can reach another route."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


def record(value: object) -> dict[str, Any]:
    """Return `value` when it is a JSON object, else an empty one: replies are read leniently."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[dict[str, Any]]:
    """Return the JSON objects of a list, else nothing."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


@dataclass(frozen=True)
class Wire:
    """A transport whose failures are FlyErrors."""

    transport: Transport

    def send(self, doing: str, call: Call) -> Reply:
        """Send `call` and return its 2xx reply.

        Raises:
            FlyError: the class says which kind of failure; `doing` completes "could not …" in its text.
        """
        try:
            reply = self.transport.send(call)
        except NoAnswerError as cause:
            raise unreachable(doing, cause) from None
        if not reply.ok:
            raise error_of(doing, reply)
        return reply

    def get(self, doing: str, route: str, params: Mapping[str, str | int] | None = None, *, pace: str) -> Any:
        """GET `route` and return the decoded body."""
        return self.send(doing, Call(method="GET", path=route, params=params or {}, pace=pace)).json()
