"""Looks at the pages of a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.support.browser import Page, steer
from tests.support.prefect_server import Program

Look = Callable[[Page], Awaitable[None]]


def look(what: Look) -> None:
    """Do something with a browser of its own."""
    asyncio.run(steer(what))


def strangers(page: Page, server: Program) -> list[str]:
    """What the page asked other hosts for."""
    return [address for address in page.requested if not address.startswith((f"{server.url}/", "about:"))]


def complaints(page: Page) -> list[str]:
    """What the console was told, but for the refusals that lead to a login."""
    return [text for text in page.errors if "401 (Unauthorized)" not in text]
