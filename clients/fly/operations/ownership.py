"""Whose an object is: the marks we leave on Fly objects, and the proof that a missing one is gone."""

from __future__ import annotations

import hashlib

from clients.fly.client import FlyClient
from clients.fly.errors import FlyNotFoundError, FlyUnprovenError

_MARKER_PREFIX = "PREFECT_FLY_OWNER_"
MARKER_VALUE = "1"


def owner_of(organization: str, project: str, stack: str) -> str:
    """Return the mark of a stack: 12 hexadecimal digits that say nothing about it."""
    return hashlib.sha256(f"{organization}/{project}/{stack}".encode()).hexdigest()[:12]


def marker_of(owner: str) -> str:
    """Return the name of the secret that marks a set of secrets as `owner`'s."""
    return f"{_MARKER_PREFIX}{owner.upper()}"


def prove_gone(client: FlyClient, org: str, app: str, missing: FlyNotFoundError) -> None:
    """Return when a 404 for something of `app` can only mean that it is gone.

    A token of another organization sees 404 for objects that exist; taking that for "gone" would drop them from the
    state and leave them running.

    Args:
        client: with the token that got the 404.
        org: slug recorded when the object was made.
        app: its app.
        missing: the 404.

    Raises:
        FlyUnprovenError: the token does not cover the app.
        FlyUnauthorizedError: the API does not accept the token at all.
    """
    if org and client.tokens.covers(org, app):
        return
    raise FlyUnprovenError(
        missing.doing,
        f'the API does not show it, but FLY_API_TOKEN does not cover app "{app}" of organization "{org or "unknown"}", '
        "so it may still be there",
        status=missing.status,
        request_id=missing.request_id,
    )
