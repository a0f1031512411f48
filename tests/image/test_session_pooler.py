"""Behind a session pooler, which takes fifteen clients: the stack's budget on a database that means it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from sandbox.postgres import PostgresServer
from settings.database import connection_budget
from tests.image.conftest import KEYS
from tests.support.migration import Migrate
from tests.support.prefect_server import Program, database_environment, hashed, result_of, run_client, running

pytestmark = [pytest.mark.prefect, pytest.mark.long]

CLIENTS = 15
LOAD = Path(__file__).parent / "clients" / "load.py"


def test_fifteen_clients_are_enough(postgres: PostgresServer, tmp_path: Path, migrate: Migrate) -> None:
    """The old and the new machine of a region change and a migration together never ask for a sixteenth connection."""
    role, password = "pooled", "a-pooled-password"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}' CONNECTION LIMIT {CLIENTS}")
    postgres.execute(f"CREATE DATABASE {role} OWNER {role}")
    url = postgres.url(role).replace(postgres.url(role).split("@")[0], f"postgresql://{role}:{password}")
    assert migrate(url).returncode == 0
    pool = connection_budget("nano", 1, CLIENTS)
    environ = database_environment(url) | {
        "PREFECT_FLY_API_KEYS": hashed(KEYS),
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": str(pool.pool_size),
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW": str(pool.max_overflow),
    }
    with ExitStack() as stack:
        old, new = (stack.enter_context(running(Program(tmp_path, environ))) for _ in range(2))
        client = old.client_environment(PREFECT_API_KEY=KEYS["orchestrator"], PREFECT_API_AUTH_STRING=KEYS["admin"])
        done = result_of(run_client(LOAD, client, "60", "10"))
        assert migrate(url).returncode == 0
        said = old.log + new.log
    assert done["completed"] == 60
    assert "too many connections" not in said
