"""From the oldest Prefect 3 release to this image: its database is upgraded with its runs, its client is let in.

The older release comes from `older.lock`, made as of September 2024 (docs/upgrade.md).
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.migration import name_of
from tests.support.older_schema import digests
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

pytestmark = [pytest.mark.prefect, pytest.mark.long]

HERE = Path(__file__).parent
RUNS = """SELECT f.state_name, count(t.*) FROM prefect.flow_run f JOIN prefect.task_run t ON t.flow_run_id = f.id
WHERE t.state_name = 'Completed' GROUP BY f.id, f.state_name"""


@dataclass
class OldHistory:
    """A database that the older release has made and run a flow on."""

    url: str
    name: str
    python: Path


def run_older_flow(postgres: PostgresServer, url: str, python: Path, home: Path) -> dict[str, object]:
    """Run a flow on the older release's own server, which is given this database; return what the flow returned."""
    name = name_of(url)
    postgres.execute(f"ALTER DATABASE {name} SET search_path = prefect, extensions")
    environ = plain_environment(home) | {
        "PREFECT_HOME": str(home / "older"),
        "PREFECT_API_DATABASE_CONNECTION_URL": prefect_url(url),
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }
    done = run_client(HERE / "clients" / "history.py", environ, "until-recorded", python=python)
    postgres.execute(f"ALTER DATABASE {name} RESET search_path")
    return result_of(done)


@pytest.fixture
def old_history(postgres: PostgresServer, fresh_database: str, tmp_path: Path) -> OldHistory:
    """The older release knows no search_path, so the database gives it one while it is at work."""
    name = name_of(fresh_database)
    postgres.execute("CREATE SCHEMA prefect AUTHORIZATION prefect; CREATE EXTENSION pg_trgm SCHEMA extensions", name)
    python = prefect_python(HERE / "older.lock")
    assert run_older_flow(postgres, fresh_database, python, tmp_path) == {"result": [0, 2, 4]}
    return OldHistory(fresh_database, name, python)


def test_upgrade_and_back(postgres: PostgresServer, old_history: OldHistory, tmp_path: Path) -> None:
    """The runs survive the upgrade; the older image alone is refused with 17; put back, all rows are there.

    Then the older release goes on, and the next upgrade keeps what it did. What came between is set aside.
    """
    name = old_history.name
    rows = digests(postgres, name, "prefect")
    assert postgres.execute(RUNS, name) == "Completed|3"
    environ = database_environment(old_history.url) | {"PREFECT_FLY_IMAGE_BEFORE": "old@sha256:0"}
    upgraded = run_verb("migrate", tmp_path, environ)
    assert upgraded.returncode == 0, upgraded.stdout
    assert "upgrading from 97429116795e" in upgraded.stdout
    assert postgres.execute(RUNS, name) == "Completed|3"
    refused = older_migrate(old_history, tmp_path)
    assert refused.returncode == 17, refused.stdout + refused.stderr
    assert "newer than this image (97429116795e)" in refused.stdout
    postgres.execute("INSERT INTO prefect.flow (name) VALUES ('since-the-upgrade')", name)

    listed = run_verb("snapshots", tmp_path, environ)
    assert listed.returncode == 0, listed.stdout
    first, last = listed.stdout.splitlines()
    assert last == "snapshots: 1"
    copy = json.loads(first.removeprefix("snapshot: "))
    assert (copy["revision"], copy["image"], copy["upgrade_to"]) == ("97429116795e", "old@sha256:0", "3.8.8")
    restored = run_verb("restore-snapshot", tmp_path, environ | {"PREFECT_FLY_SNAPSHOT": copy["name"]})
    assert restored.returncode == 0, restored.stdout
    assert digests(postgres, name, "prefect") == rows
    assert run_older_flow(postgres, old_history.url, old_history.python, tmp_path) == {"result": [0, 2, 4]}
    assert postgres.execute(RUNS, name) == "Completed|3\nCompleted|3"
    assert run_verb("migrate", tmp_path, environ).returncode == 0
    assert postgres.execute(RUNS, name) == "Completed|3\nCompleted|3"
    aside = "SELECT count(*) FROM prefect_after_3_8_8.flow WHERE name = 'since-the-upgrade'"
    assert postgres.execute(aside, name) == "1"


def older_migrate(old_history: OldHistory, home: Path) -> subprocess.CompletedProcess[str]:
    """Run `migrate` of today's image with the older Prefect."""
    return subprocess.run(
        [old_history.python, "-m", "prefect_server", "migrate"],
        env=plain_environment(home) | database_environment(old_history.url),
        capture_output=True,
        text=True,
        check=False,
    )


def test_oldest_client(server: Program) -> None:
    """A Prefect 3.0.0 client's flow run completes behind the gate; its websockets, which know no key, stay outside."""
    environ = server.client_environment(
        PREFECT_API_KEY=KEYS["github"], PREFECT_API_AUTH_STRING=f"github:{KEYS['github']}"
    )
    done = run_client(HERE / "clients" / "history.py", environ, python=prefect_python(HERE / "older.lock"))
    assert result_of(done) == {"result": [0, 2, 4]}
    assert "Finished in state Completed()" in done.stderr + done.stdout
