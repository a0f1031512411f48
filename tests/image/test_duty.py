"""Two servers on one database, as they are while one machine takes the place of another."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.migration import name_of
from tests.support.prefect_server import Program, database_environment, hashed, running
from tests.support.waiting import until

pytestmark = [pytest.mark.prefect, pytest.mark.long]

HERE, ELSEWHERE = "the periodic services run here", "the periodic services run at another server"


def server(home: Path, url: str, machine: str) -> Program:
    environ = database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed(KEYS), "FLY_MACHINE_ID": machine}
    return Program(home, environ)


def test_the_periodic_services_run_at_one_server_and_move_when_it_ends(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """The second one leaves them alone, has them as soon as the first ends, and a crash only delays that."""
    url = migrated_database()
    who = "SELECT string_agg(holder, ' ') FROM prefect_fly.duty WHERE name = 'periodic services'"
    with running(server(tmp_path, url, "old")) as old, running(server(tmp_path, url, "new")) as new:
        assert HERE in old.log
        assert HERE not in new.log
        assert postgres.execute(who, name_of(url)) == "old"
        assert old.stop() == -signal.SIGTERM
        until(lambda: HERE in new.log)
        assert postgres.execute(who, name_of(url)) == "new"
        with running(server(tmp_path, url, "newest")) as newest:
            new.stop(signal.SIGKILL)
            until(lambda: HERE in newest.log)
            assert postgres.execute(who, name_of(url)) == "newest"
    assert postgres.execute(who, name_of(url)) == ""
