"""A session in the database that looks like a server's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg  # type: ignore[import-untyped]


@contextmanager
def server_session(url: str, application: str) -> Iterator[None]:
    """Hold a session with this application name."""
    loop = asyncio.new_event_loop()
    settings = {"application_name": application}
    connection = loop.run_until_complete(asyncpg.connect(url, ssl="require", server_settings=settings))
    try:
        yield
    finally:
        loop.run_until_complete(connection.close())
        loop.close()
