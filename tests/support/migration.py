"""Running the image's `migrate` in tests, and what is looked at afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from urllib.parse import urlsplit

TABLES = """SELECT table_schema, count(*) FROM information_schema.tables
WHERE table_name IN ('flow_run', 'alembic_version', 'block_type') GROUP BY 1 ORDER BY 1"""
"""How many of Prefect's tables are in which schema."""

Migrate = Callable[..., subprocess.CompletedProcess[str]]


def sentence(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The last line of a migration that failed with this code."""
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == code, done.stdout + done.stderr
    assert last.startswith("migrate: could not ")
    return last


def note(done: subprocess.CompletedProcess[str]) -> str:
    """The last line of a migration that succeeded and found another Prefect in the database."""
    assert done.returncode == 22, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def name_of(url: str) -> str:
    """The database's name."""
    return urlsplit(url).path.removeprefix("/")
