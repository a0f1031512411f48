"""What a backup through a one-off machine costs beside a direct one: seconds and calls, there and back.

    PYTHONPATH=docker/prefect python -m toolchain run .venv/bin/python -m bench.backup [MB]

The database is a real one with so many MB of log lines, the machine a process on this computer, and the emulated Fly
answers at once: what is seen is the price of one command a second, which is what Fly allows.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ops import backup_database
from ops.backup_file import read_whole, writing
from ops.database_access import DatabaseAccess
from ops.relay_machine import relayed
from sandbox.testing import Sandbox
from tests.image.test_backup import access_of
from tests.support.fly_world import client_of
from tests.support.postgres import running_postgres
from tests.support.prefect_server import database_environment, run_verb
from tests.support.server_app import APP, app_with_a_server

_LINES = """
SET search_path = prefect;
INSERT INTO log (name, level, message, timestamp)
    SELECT 'x', 20, (SELECT string_agg(md5(n::text || i::text), '') FROM generate_series(1, 28) AS i), now()
    FROM generate_series(1, {}) AS n
"""


def main() -> None:
    """Measure, and print one line for each way and direction."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with TemporaryDirectory() as folder, running_postgres(Path(folder) / "postgres") as postgres:
        url = postgres.create_database("measured")
        run_verb("migrate", Path(folder), database_environment(url)).check_returncode()
        postgres.execute(_LINES.format(1024 * megabytes), "measured", user="prefect")
        access = access_of(postgres, url)
        with app_with_a_server(Path(folder) / "sandbox") as sandbox:
            both_ways(sandbox, "direct", access, Path(folder) / "direct")
            began = time.monotonic()
            with relayed(client_of(sandbox), APP, access) as reached:
                print(f"machine: ready after {time.monotonic() - began:.1f} s")
                both_ways(sandbox, "machine", reached, Path(folder) / "machine")


def both_ways(sandbox: Sandbox, way: str, access: DatabaseAccess, file: Path) -> None:
    """Save and put back."""

    def save() -> None:
        with writing(file) as writer:
            asyncio.run(backup_database.save(access, writer, quiet))

    measured(sandbox, f"{way}: backup", save)
    manifest = read_whole(file, quiet)

    def load() -> None:
        asyncio.run(backup_database.load(access, file, manifest, quiet, replace=True))

    measured(sandbox, f"{way}: restore", load)
    print(f"{way}: {manifest.rows} rows, {manifest.size / 2**20:.1f} MB")


def measured(sandbox: Sandbox, what: str, act: Callable[[], None]) -> None:
    """Print seconds and commands."""
    before, began = execs(sandbox), time.monotonic()
    act()
    print(f"{what}: {time.monotonic() - began:.1f} s, {execs(sandbox) - before} calls")


def execs(sandbox: Sandbox) -> int:
    """Commands that ran in machines so far."""
    return sum(entry["path"].endswith("/exec") for entry in sandbox.journal("fly"))


def quiet(_line: str) -> None:
    """Say nothing."""


if __name__ == "__main__":
    main()
