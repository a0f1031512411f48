"""Whether a key's rights are enough for a request, by what routes.py says that its route does.

A route that is not known there is for admins only. Where what counts stands in the body, the body is read, judged and
written anew for Prefect, so that both have seen the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl

from prefect_server import routes
from prefect_server.asgi import Message, Receive, Scope, header_values, without_header
from prefect_server.keys import Rights, Verdict
from prefect_server.surface import API_BASE, AUDIT_PATH, KEYS_PATH, STATUS_PATH, WHOAMI_PATH

# A filter or a switch is a few hundred bytes.
LONGEST_JUDGED_BODY = 64 * 1024

# As Starlette's path convertors have them; permission and Prefect must find the same route.
_CONVERTORS = {
    "": "[^/]+",
    "str": "[^/]+",
    "path": ".*",
    "uuid": "[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}",
}
OWN = {
    WHOAMI_PATH: Rights.VIEWER,
    STATUS_PATH: Rights.VIEWER,
    KEYS_PATH: Rights.ADMIN,
    AUDIT_PATH: Rights.ADMIN,
}
"""The least rights for the gate's own routes, all of them read with GET; what is not here is for admins only."""

_PARAMETER = re.compile(r"\{(\w+):?(\w*)\}")
_SAYS_NO = {"false", "0", "no", "off", "f", "n"}
_VERIFY = re.compile(r"verify(\.\d+)?")


class Kind(Enum):
    """What a route does; routes.py has the meanings."""

    READ = "read"
    RUN = "run"
    CHANGE = "change"
    WORK = "work"

    @property
    def needs(self) -> Rights:
        """The least rights that it takes."""
        return {Kind.READ: Rights.VIEWER, Kind.RUN: Rights.OPERATOR}.get(self, Rights.ADMIN)


@dataclass(frozen=True)
class Route:
    """One method on one path; `but` is what stands behind the colon in routes.py."""

    method: str
    template: str
    kind: Kind
    but: str
    pattern: re.Pattern[str] = field(repr=False)

    @property
    def path(self) -> str:
        """The path as people are shown it."""
        return _PARAMETER.sub(r"{\1}", self.template)


@dataclass(frozen=True)
class Match:
    """The route of a request, None where none is known, and the names and ids in its path."""

    route: Route | None = None
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Permission:
    """The answer: the request as it goes on to Prefect and what it does there, or the sentence that refuses it."""

    kind: Kind
    scope: Scope
    receive: Receive
    refusal: str | None = None


def pattern_of(template: str) -> re.Pattern[str]:
    """Compile a path as Starlette does."""
    position, text = 0, "^"
    for found in _PARAMETER.finditer(template):
        text += re.escape(template[position : found.start()]) + f"(?P<{found[1]}>{_CONVERTORS[found[2]]})"
        position = found.end()
    return re.compile(text + re.escape(template[position:]) + "$")


def parse(table: str) -> list[Route]:
    """Read a table of routes.py."""
    found = []
    for line in filter(None, table.splitlines()):
        path, _, methods = line.partition(" ")
        for each in methods.split(", "):
            method, _, word = each.rpartition(" ")
            kind, _, but = word.partition(":")
            template = API_BASE + path
            found.append(Route(method, template, Kind(kind), but, pattern_of(template)))
    return found


class Routes:
    """All routes of Prefect that are known."""

    def __init__(self, table: str = routes.HTTP) -> None:
        self.all = parse(table)
        self._by_start: dict[tuple[str, str], list[Route]] = {}
        for route in self.all:
            self._by_start.setdefault((route.method, _start(route.template)), []).append(route)

    def find(self, method: str, path: str) -> Match:
        """Find a request's route; of several the one that needs most."""
        found = [
            (route, matched)
            for route in self._by_start.get((method, _start(path)), ())
            if (matched := route.pattern.match(path))
        ]
        if not found:
            return Match()
        route, matched = max(found, key=lambda pair: pair[0].kind.needs) if len(found) > 1 else found[0]
        return Match(route, matched.groupdict())


class Sockets:
    """The rights that each websocket of Prefect needs."""

    def __init__(self, table: str = routes.SOCKETS) -> None:
        self._routes = parse(table)

    def needs(self, path: str) -> Rights:
        """The least rights for a websocket on this path."""
        return max((each.kind.needs for each in self._routes if each.pattern.match(path)), default=Rights.ADMIN)


def _start(path: str) -> str:
    return path.removeprefix(f"{API_BASE}/").partition("/")[0]


async def permit(match: Match, verdict: Verdict, scope: Scope, receive: Receive) -> Permission:
    """Hold the rights of an accepted key against a request to Prefect."""
    route = match.route
    if route is None:
        return _permit_unknown(verdict, scope, receive)
    if verdict.rights is Rights.ADMIN:
        return Permission(route.kind, scope, receive)
    kind, what = route.kind, f"{route.method} {route.path}"
    if route.but == "ui":
        kind = Kind.READ if header_values(scope, b"x-prefect-ui") == [b"true"] else kind
    elif route.but == "secrets" and route.method == "GET":
        kind = Kind.CHANGE if _asks_for_secrets(scope["query_string"]) else kind
    elif route.but:
        body, scope, receive = await _read_json(scope, receive)
        kind = _kind_by_body(route, body)
    if kind.needs <= (verdict.rights or 0):
        return Permission(kind, scope, receive)
    if route.but == "secrets":
        what += " with include_secrets"
    return Permission(kind, scope, receive, refuse(verdict, what, kind.needs))


def _permit_unknown(verdict: Verdict, scope: Scope, receive: Receive) -> Permission:
    kind = Kind.READ if scope["method"] in {"GET", "HEAD", "OPTIONS"} else Kind.CHANGE
    # Outside of the API there are only files and the API's description.
    if verdict.rights is Rights.ADMIN or (kind is Kind.READ and not scope["path"].startswith(f"{API_BASE}/")):
        return Permission(kind, scope, receive)
    return Permission(kind, scope, receive, refuse(verdict, "a path that the gate does not know"))


def refuse(verdict: Verdict, what: str, needs: Rights = Rights.ADMIN) -> str:
    """Say who may not do what, and what it takes."""
    may = "may look at everything and change nothing"
    if verdict.rights is Rights.OPERATOR:
        may = "may run, cancel, pause and resume, and change nothing else"
    return (
        f'"{verdict.accepted}" is {_A[verdict.rights or Rights.VIEWER]} and {may}: {what} needs {_A[needs]}\'s rights.'
    )


_A = {Rights.VIEWER: "a viewer", Rights.OPERATOR: "an operator", Rights.ADMIN: "an admin"}


def _kind_by_body(route: Route, body: object) -> Kind:
    """Judge what was read; what could not be read may be anything."""
    if not isinstance(body, dict):
        return Kind.CHANGE
    if route.but == "secrets":
        return route.kind if body.get("include_secrets", False) is False else Kind.CHANGE
    return Kind.RUN if set(body) <= {route.but} else route.kind


def _asks_for_secrets(query: bytes) -> bool:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return any(name == "include_secrets" and value.lower() not in _SAYS_NO for name, value in pairs)


async def _read_json(scope: Scope, receive: Receive) -> tuple[object, Scope, Receive]:
    """Read a body and return what it says, with a request that says exactly that; None for what cannot be read."""
    raw, more = b"", True
    while more and len(raw) <= LONGEST_JUDGED_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None, scope, receive
        raw += message.get("body", b"")
        more = message.get("more_body", False)
    try:
        content = json.loads(raw or b"{}") if len(raw) <= LONGEST_JUDGED_BODY else None
    except (ValueError, RecursionError):
        content = None
    body = json.dumps(content).encode() if raw else b""
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [pair for pair in without_header(scope, b"content-length") if pair[0].lower() != b"transfer-encoding"]
    return content, {**scope, "headers": [*headers, (b"content-length", b"%d" % len(body))]}, receive_again


def permit_own(verdict: Verdict, path: str) -> str | None:
    """Hold the rights of an accepted key against one of the gate's own routes; the sentence when they are too few."""
    needs = OWN.get(path, Rights.ADMIN)
    # The program's own checks count keys, whatever else they may do.
    if path == KEYS_PATH and _VERIFY.fullmatch(verdict.accepted or ""):
        return None
    return None if needs <= (verdict.rights or 0) else refuse(verdict, f"GET {path}", needs)
