"""A webhook that an automation calls does not cut off another one. Importing this imports Prefect.

Prefect's webhook blocks share their connections, and each closes all of them at its end. Of two that are called at once
the one that is answered last so failed ("Webhook call failed: ReadError"), and what failed is not called again.
"""

from __future__ import annotations

from prefect.blocks import webhook  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import SelfCheckError


def keep_connections() -> None:
    """Leave the shared connections open at the end of a call; one that was idle for 5 s (httpx) is not used again.

    Raises:
        SelfCheckError: Prefect no longer shares them where it did.
    """
    shared = [each for each in vars(webhook).values() if isinstance(each, webhook.AsyncHTTPTransport)]
    if not shared:
        raise SelfCheckError("Prefect's webhooks no longer share their connections where they did")
    for transport in shared:
        transport.__aexit__ = _leave_open


async def _leave_open(*_error: object) -> None:
    """Other calls may be under way."""
