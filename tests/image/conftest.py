from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox.postgres import PostgresServer
from tests.support.migration import Migrate, name_of
from tests.support.older_schema import make_older
from tests.support.postgres import running_postgres
from tests.support.prefect_server import Program, database_environment, hashed, run_verb, running

# The package as the image and the process driver see it.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docker" / "prefect"))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One real Postgres with TLS for all tests of the image."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def fresh_database(postgres: PostgresServer) -> Iterator[str]:
    """A new database's URL, as a new Supabase project has one."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def migrated_database(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Makes databases that `migrate` has been run on; it is really run once, the others are copies of that one."""
    template = "image_migrated"
    home = tmp_path_factory.mktemp("migrate")
    made = run_verb("migrate", home, database_environment(postgres.create_database(template)))
    assert made.returncode == 0, made.stdout + made.stderr
    count = iter(range(1_000_000))

    def make() -> str:
        name = f"image_copy_{next(count)}"
        postgres.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" OWNER prefect')
        return postgres.url(name)

    return make


@pytest.fixture
def older(postgres: PostgresServer, migrated_database: Callable[[], str]) -> str:
    """The URL of a database with some history, one revision behind the image."""
    url = migrated_database()
    make_older(postgres, name_of(url))
    return url


@pytest.fixture
def migrate(tmp_path: Path) -> Migrate:
    """Run `migrate` on a database's URL, with more environment by keyword."""

    def run(url: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = run_verb("migrate", tmp_path, database_environment(url) | environ)
        password = urlsplit(url).password
        assert password
        assert password not in done.stdout + done.stderr
        return done

    return run


KEYS = {"orchestrator": "key-of-the-orchestrator", "github": "key-of-github", "admin": "a-login"}
# Named for their rights; the last one's time is over.
PEOPLE = {"viewer": "a-viewers-login", "operator": "an-operators-login", "operator-left": "an-old-login"}


@pytest.fixture(scope="session")
def server(migrated_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One real server for all tests that neither change nor stop it; its keys are KEYS and those of PEOPLE."""
    people = {
        name: {"sha256": hashlib.sha256(key.encode()).hexdigest(), "rights": name.partition("-")[0]}
        for name, key in PEOPLE.items()
    }
    people["operator-left"]["expires"] = "2020-01-31T00:00:00Z"
    ring = json.dumps({**json.loads(hashed(KEYS)), **people})
    environ = database_environment(migrated_database()) | {"PREFECT_FLY_API_KEYS": ring}
    with running(Program(tmp_path_factory.mktemp("serve"), environ)) as program:
        yield program
