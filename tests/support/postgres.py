"""The real Postgres for tests: one server a session, a fresh database (about 30 ms) for whoever needs one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.postgres import PostgresServer


@contextmanager
def running_postgres(home: Path) -> Iterator[PostgresServer]:
    """Run a server of its own in `home`, and leave neither process nor files behind."""
    server = PostgresServer(home)
    server.start()
    try:
        yield server
    finally:
        server.remove()


def prefect_url(url: str) -> str:
    """The spelling the server image takes."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1)
