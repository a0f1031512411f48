"""From the oldest Prefect 3 release to this image: its database is upgraded with its runs, its client is let in.

The older release comes from `older.lock`, made as of September 2024 (docs/upgrade.md).
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.postgres import prefect_url
from tests.support.prefect_server import (
    Program,
    database_environment,
    plain_environment,
    result_of,
    run_client,
    run_verb,
)
from toolchain.prefect_env import prefect_python

pytestmark = pytest.mark.prefect

HERE = Path(__file__).parent
RUNS = """SELECT f.state_name, count(t.*) FROM prefect.flow_run f JOIN prefect.task_run t ON t.flow_run_id = f.id
WHERE t.state_name = 'Completed' GROUP BY f.id, f.state_name"""


@dataclass
class OldHistory:
    """A database that the older release has made and run a flow on."""

    url: str
    name: str
    python: Path


@pytest.fixture
def old_history(postgres: PostgresServer, fresh_database: str, tmp_path: Path) -> OldHistory:
    """The older release knows no search_path, so the database gives it one while it is at work."""
    name = urlsplit(fresh_database).path.removeprefix("/")
    postgres.execute("CREATE SCHEMA prefect AUTHORIZATION prefect; CREATE EXTENSION pg_trgm SCHEMA extensions", name)
    postgres.execute(f"ALTER DATABASE {name} SET search_path = prefect, extensions")
    python = prefect_python(HERE / "older.lock")
    environ = plain_environment(tmp_path) | {
        "PREFECT_HOME": str(tmp_path / "older"),
        "PREFECT_API_DATABASE_CONNECTION_URL": prefect_url(fresh_database),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }
    done = run_client(HERE / "clients" / "history.py", environ, python=python)
    assert result_of(done) == {"result": [0, 2, 4]}
    postgres.execute(f"ALTER DATABASE {name} RESET search_path")
    return OldHistory(fresh_database, name, python)


def test_upgrade_and_back(postgres: PostgresServer, old_history: OldHistory, tmp_path: Path) -> None:
    """The runs survive the upgrade; the older image is refused on the way back with 17 and changes nothing."""
    before = postgres.execute(RUNS, old_history.name)
    assert before == "Completed|3"
    upgraded = run_verb("migrate", tmp_path, database_environment(old_history.url))
    assert upgraded.returncode == 0, upgraded.stdout
    assert "upgrading from 97429116795e" in upgraded.stdout
    assert postgres.execute(RUNS, old_history.name) == before
    revision = postgres.execute("SELECT version_num FROM prefect.alembic_version", old_history.name)
    back = subprocess.run(
        [old_history.python, "-m", "prefect_server", "migrate"],
        env=plain_environment(tmp_path) | database_environment(old_history.url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert back.returncode == 17, back.stdout + back.stderr
    assert "newer than this image (97429116795e)" in back.stdout
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", old_history.name) == revision


def test_oldest_client(server: Program) -> None:
    """A Prefect 3.0.0 client's flow run completes behind the gate; its websockets, which know no key, stay outside."""
    environ = server.client_environment(
        PREFECT_API_KEY=KEYS["github"], PREFECT_API_AUTH_STRING=f"github:{KEYS['github']}"
    )
    done = run_client(HERE / "clients" / "history.py", environ, python=prefect_python(HERE / "older.lock"))
    assert result_of(done) == {"result": [0, 2, 4]}
    assert "Finished in state Completed()" in done.stderr + done.stdout
