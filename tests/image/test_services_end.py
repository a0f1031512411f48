"""The services machine is told to end before its services have begun, as by an update right after another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.migration import name_of
from tests.support.prefect_server import Program, database_environment, hashed
from tests.support.redis import running_redis
from tests.support.server_session import session_holding
from tests.support.waiting import until

pytestmark = pytest.mark.prefect

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'prefect.automation'::regclass"


def test_services_that_have_not_begun_end_on_sigterm(
    postgres: PostgresServer, migrated_database: Callable[[], str], tmp_path: Path
) -> None:
    """One of them still reads the automations; Prefect's end of it is a failed assertion then, and ours one line."""
    url = migrated_database()
    with running_redis(tmp_path) as redis, session_holding(url, "LOCK TABLE prefect.automation"):
        environ = database_environment(url) | {
            "PREFECT_FLY_API_KEYS": hashed(KEYS),
            "PREFECT_FLY_REDIS_URL": redis,
            "PREFECT_FLY_SEPARATE_SERVICES": "true",
        }
        services = Program(tmp_path, environ, verb="services")
        services.start()
        try:
            until(lambda: postgres.execute(WAITING, name_of(url)) != "0", lambda: services.log)
        finally:
            code = services.stop()
    assert code == 0, services.log
    assert "told to end before all services had begun" in services.log
    assert "Traceback" not in services.log
