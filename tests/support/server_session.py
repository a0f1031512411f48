"""Sessions in the database beside the program that is tested."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg  # type: ignore[import-untyped]


@contextmanager
def server_session(url: str, application: str) -> Iterator[None]:
    """Hold a session with this application name, which looks like a server's."""
    with _session(url, "SELECT 1", {"application_name": application}):
        yield


@contextmanager
def session_holding(url: str, sql: str) -> Iterator[None]:
    """Hold a session that has run `sql` in an open transaction."""
    with _session(url, f"BEGIN; {sql}", {}):
        yield


@contextmanager
def _session(url: str, sql: str, settings: Mapping[str, str]) -> Iterator[None]:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as loop:
        connection = loop.run(asyncpg.connect(url, ssl="require", server_settings=dict(settings)))
        try:
            loop.run(connection.execute(sql))
            yield
        finally:
            loop.run(connection.close())
