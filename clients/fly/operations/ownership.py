"""The proof that a missing object is gone."""

from __future__ import annotations

from clients.fly.client import FlyClient
from clients.fly.errors import FlyNotFoundError, FlyUnprovenError


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
