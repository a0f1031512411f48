"""Servers that are compared: each has a folder and a database of its own, in one Postgres."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import running_postgres
from tests.support.prefect_server import database_environment, run_verb


@contextmanager
def databases(count: int) -> Iterator[list[tuple[Path, dict[str, str]]]]:
    """Lend so many folders, each with the environment of a migrated database."""
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder) / "postgres") as postgres:
        lent = []
        for number in range(count):
            home = Path(folder) / str(number)
            home.mkdir()
            environ = database_environment(postgres.create_database(f"bench_{number}"))
            run_verb("migrate", home, environ).check_returncode()
            lent.append((home, environ))
        yield lent
