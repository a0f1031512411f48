"""Fly API tokens: their spelling, and what the current one covers.

Owns nothing: a token comes from the environment and is never stored, printed or compared with another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clients.fly.wire import Wire, path
from clients.shapes import listed

_SCHEME = re.compile(r"^(?:\s*(?:Bearer|FlyV1)(?:\s+|$))+", re.IGNORECASE)
_MACAROON = re.compile(r"^fm[0-9][a-z]?_")


def bare(token: str) -> str:
    """Return the token without `FlyV1` or `Bearer`, however often they stand there, and without blanks.

    People paste `FlyV1 fm2_…,fm2_…`, `Bearer …` or the parts over several lines.
    """
    parts = (_SCHEME.sub("", part).strip() for part in token.replace("\n", ",").split(","))
    return ",".join(part for part in parts if part)


def authorization(token: str) -> str:
    """Return the Authorization header: FlyV1 for macaroons, Bearer for everything else (fly-go does the same)."""
    stripped = bare(token)
    macaroons = any(_MACAROON.match(part) for part in stripped.split(","))
    return f"FlyV1 {stripped}" if macaroons else f"Bearer {stripped}"


def registry_password(token: str) -> str:
    """Return the password for registry.fly.io (user `x`): the token without its scheme."""
    return bare(token)


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What one part of the token reaches. `apps`, names or ids, empty: every app of the organization."""

    org: str
    apps: tuple[str, ...] = ()

    def covers(self, org: str, app: str, app_id: str = "") -> bool:
        """Tell whether this part sees app `app` of organization `org`; it may name the app by its id."""
        return self.org == org and (not self.apps or app in self.apps or bool(app_id and app_id in self.apps))

    def __str__(self) -> str:
        apps = f" (only {', '.join(self.apps)})" if self.apps else ""
        return f'organization "{self.org}"{apps}'


class Tokens:
    """`GET /tokens/current`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def current(self) -> tuple[Coverage, ...]:
        """Return what the token in use covers, one entry for each of its parts.

        Raises:
            FlyUnauthorizedError: the API does not accept it.
        """
        return self._wire.get("read what FLY_API_TOKEN covers", path("tokens", "current"), _coverages, pace="tokens")

    def covers(self, org: str, app: str, app_id: str = "") -> bool:
        """Tell whether the token in use sees app `app` of organization `org`: then its 404 means gone."""
        return any(part.covers(org, app, app_id) for part in self.current())


def _coverages(body: object) -> tuple[Coverage, ...]:
    return tuple(Coverage(org=_org_of(entry), apps=_apps_of(entry.get("apps"))) for entry in listed(body, "tokens"))


def _apps_of(given: object) -> tuple[str, ...]:
    """Return the apps that a part of the token is limited to; what cannot be read limits it to nothing that exists."""
    if not given:
        return ()
    entries = given if isinstance(given, list) else [given]
    return tuple(spelled for app in entries for spelled in _spellings(app)) or ("?",)


def _org_of(entry: dict[str, object]) -> str:
    return str(entry.get("org_slug") or entry.get("organization") or "")


def _spellings(app: object) -> list[str]:
    # Published as a list without an item type: names, ids, numbers of ids, or objects that hold some of them.
    given = [app.get("name"), app.get("id")] if isinstance(app, dict) else [app]
    return [str(spelled) for spelled in given if spelled]
