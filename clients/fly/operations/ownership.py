"""The proof that a missing object is gone."""

from __future__ import annotations

from clients.fly.client import FlyClient
from clients.fly.errors import FlyForbiddenError, FlyNotFoundError, FlyUnprovenError


def prove_gone(client: FlyClient, org: str, app: str, missing: FlyNotFoundError, app_id: str = "") -> None:
    """Return when a 404 for something of `app` can only mean that it is gone.

    A token of another organization sees 404 for objects that exist; taking that for "gone" would drop them from the
    state and leave them running.

    Args:
        client: with the token that got the 404.
        org: slug recorded when the object was made.
        app: its app.
        missing: the 404.
        app_id: the app's id, where it was recorded: a deploy token may name it by that. Else it is looked up.

    Raises:
        FlyUnprovenError: the token does not cover the app.
        FlyUnauthorizedError: the API does not accept the token at all.
    """
    parts = [part for part in client.tokens.current() if part.org == org] if org else []
    if any(part.covers(org, app, app_id) for part in parts):
        return
    if parts and not app_id and client.tokens.covers(org, app, _id_of(client, app)):
        return
    raise FlyUnprovenError(
        missing.doing,
        f'the API does not show it, but FLY_API_TOKEN does not cover app "{app}" of organization "{org or "unknown"}", '
        "so it may still be there",
        status=missing.status,
        request_id=missing.request_id,
    )


def _id_of(client: FlyClient, app: str) -> str:
    """Return the app's id, empty when it does not answer: it may be gone, or somebody else's."""
    try:
        return client.apps.get(app).id
    except (FlyNotFoundError, FlyForbiddenError):
        return ""
