"""Slots of concurrency limits, which runs hold by leases: they outlive the server that gave them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests

from sandbox.core.ports import free_port
from sandbox.postgres import PostgresServer
from tests.support.migration import name_of
from tests.support.prefect_server import (
    Program,
    database_environment,
    plain_environment,
    result_of,
    run_client,
    running,
)
from tests.support.side_by_side import ask, server
from tests.support.waiting import until

pytestmark = [pytest.mark.prefect, pytest.mark.long]

TAG = "warehouse"
LIMIT = f"tag:{TAG}"
LASTS = 3600.0
LOOKS_OFTEN = {"PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "0.5"}


def make_limit(server: Program, slots: int) -> None:
    ask(server, "POST", "/v2/concurrency_limits/", {"name": LIMIT, "limit": slots}).raise_for_status()


def take(server: Program, holder: str = "") -> requests.Response:
    """Take a slot for an hour, for a task run."""
    wanted: dict[str, Any] = {"names": [LIMIT], "slots": 1, "mode": "concurrency", "lease_duration": LASTS}
    if holder:
        wanted["holder"] = {"type": "task_run", "id": holder}
    return ask(server, "POST", "/v2/concurrency_limits/increment-with-lease", wanted)


def renew(server: Program, lease: str) -> int:
    path = f"/v2/concurrency_limits/leases/{lease}/renew"
    return ask(server, "POST", path, {"lease_duration": LASTS}).status_code


def active(server: Program) -> int:
    """How many slots are taken."""
    return int(ask(server, "GET", f"/v2/concurrency_limits/{LIMIT}").json()["active_slots"])


def test_a_lease_outlives_an_update_and_a_crash(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """Taken from one server it is renewed and given back at another, beside it, after it and after a crash."""
    url, run = migrated_database(), str(uuid4())
    with (
        running(server(tmp_path, url, "old", **LOOKS_OFTEN)) as old,
        running(server(tmp_path, url, "new", **LOOKS_OFTEN)) as new,
    ):
        make_limit(old, 1)
        lease = take(old, run).json()["lease_id"]
        assert renew(new, lease) == 204
        old.stop()
        assert renew(new, lease) == 204
        assert take(new).status_code == 423
        new.stop(signal.SIGKILL)
        new.start()
        new.wait_ready()
        assert renew(new, lease) == 204
        # By the limit's tag Prefect names who holds its slots.
        assert ask(new, "GET", f"/concurrency_limits/tag/{TAG}").json()["active_slots"] == [run]
        given_back = ask(new, "POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
        assert (given_back.status_code, active(new)) == (204, 0)
        assert renew(new, lease) == 410


def test_a_slot_whose_holder_is_gone_is_free_again(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """Nobody renews any more: the slot comes back at whichever server then runs, and no other slot does."""
    url = migrated_database()
    with running(server(tmp_path, url, "old", **LOOKS_OFTEN)) as old:
        make_limit(old, 2)
        gone, kept = (take(old).json()["lease_id"] for _ in range(2))
    with running(server(tmp_path, url, "new", **LOOKS_OFTEN)) as new:
        assert active(new) == 2
        expired = f"UPDATE prefect_fly.lease SET expires_at = now() - interval '1 second' WHERE id = '{gone}'"  # noqa: S608 - an id
        postgres.execute(expired, name_of(url))
        until(lambda: active(new) == 1)
        assert (renew(new, gone), renew(new, kept)) == (410, 204)


def test_without_limits_no_connection_stands_beside_the_pool(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """The look for expired leases, made all the time, does not keep the leases' own connection open."""
    url = migrated_database()
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'prefect-fly' AND datname = current_database()"
    )
    looked = "SELECT sum(seq_scan + idx_scan) FROM pg_stat_user_tables WHERE relname = 'lease'"
    with running(server(tmp_path, url, "only", **LOOKS_OFTEN)):
        until(lambda: int(postgres.execute(looked, name_of(url)) or 0) > 2)
        assert postgres.execute(sessions, name_of(url)) == "0"


def test_a_connection_that_is_about_to_end_is_opened_again(
    migrated_database: Callable[[], str], tmp_path: Path
) -> None:
    """The database has said that the session ends, and the driver refuses everything: a request does not notice."""
    environ = plain_environment(tmp_path) | database_environment(migrated_database())
    listening = {"PREFECT_SERVER_API_PORT": str(free_port()), "PREFECT_FLY_METRICS_PORT": str(free_port())}
    script = Path(__file__).parent / "clients" / "ended_session.py"
    assert result_of(run_client(script, environ | listening)) == {"renewed": True}


def test_a_lost_connection_to_the_leases_is_opened_again(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """The database closed it, as when it was started again; a request does not notice."""
    url = migrated_database()
    with running(server(tmp_path, url, "only", **LOOKS_OFTEN)) as only:
        make_limit(only, 1)
        lease = take(only).json()["lease_id"]
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'prefect-fly'"
        assert postgres.execute(f"{ended} AND datname = current_database()", name_of(url)) == "1"
        assert renew(only, lease) == 204
