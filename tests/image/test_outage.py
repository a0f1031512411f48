"""Database or Redis go away under a running flow, and the server is killed: what was accepted is not lost."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest
import requests

from sandbox.postgres import PostgresServer
from sandbox.postgres_cluster import PostgresError
from tests.image.conftest import KEYS
from tests.support.migration import name_of
from tests.support.postgres import running_postgres
from tests.support.prefect_server import Program, database_environment, hashed, run_verb, running
from tests.support.redis import Redis
from tests.support.waiting import PATIENCE, until
from toolchain.prefect_env import prefect_python

pytestmark = pytest.mark.prefect

SESSIONS_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid()"
)
CLIENTS = Path(__file__).parent / "clients"
KEY = KEYS["orchestrator"]


def post(program: Program, path: str, body: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {KEY}"}
    return requests.post(program.api_url + path, json=body, headers=headers, timeout=600)


def failed_answers(program: Program) -> int:
    """How many accepted requests the server answered with an error of its own."""
    shown = requests.get(f"http://127.0.0.1:{program.metrics_port}/metrics", timeout=600).text
    found = re.search(r'^prefect_gate_responses_total\{class="5xx"\} (\S+)', shown, re.MULTILINE)
    return int(float(found[1])) if found else 0


@contextmanager
def looping_client(program: Program, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """Run flows within a flow; yield the process, the file with their number and the one that ends them."""
    counted, done = home / "counted", home / "done"
    environ = program.client_environment(PREFECT_API_KEY=KEY, PREFECT_API_AUTH_STRING=f"orchestrator:{KEY}")
    argv = [str(prefect_python()), str(CLIENTS / "outage.py"), str(counted), str(done)]
    with (home / "client.log").open("wb") as log, subprocess.Popen(argv, env=environ, stdout=log, stderr=log) as client:
        try:
            yield client, counted, done
        finally:
            client.kill()


@pytest.mark.long
def test_a_flow_outlives_an_outage_of_the_database(tmp_path: Path) -> None:
    """Postgres stops under a stock client's flow and comes back: the server says so, and nothing has to be restarted.

    Prefect by itself answers 500, which ends the flow at its next request and leaves it "running" for ever.
    """
    with running_postgres(tmp_path / "postgres") as postgres:
        environ = database_environment(postgres.create_database("outage"))
        made = run_verb("migrate", tmp_path, environ)
        assert made.returncode == 0, made.stdout + made.stderr
        with (
            running(Program(tmp_path, environ | {"PREFECT_FLY_API_KEYS": hashed(KEYS)})) as program,
            looping_client(program, tmp_path) as (client, counted, done),
        ):
            until(counted.exists, lambda: "the flow's first step")
            postgres.stop()
            refused = post(program, "/flows/filter", {})
            assert (refused.status_code, refused.headers["Prefect-Maintenance"]) == (503, "true")
            assert requests.get(f"{program.api_url}/ready", timeout=600).status_code == 503
            until(lambda: failed_answers(program) >= 3, lambda: "the flow meets the outage")
            # The log has a line of it, and no traceback of a request.
            assert "the database does not answer (" in program.log
            assert "Exception in ASGI application" not in program.log
            assert client.poll() is None, (tmp_path / "client.log").read_text()
            postgres.start()
            until(lambda: requests.get(f"{program.api_url}/ready", timeout=600).ok, lambda: "ready again")
            done.touch()
            assert client.wait(PATIENCE) == 0, (tmp_path / "client.log").read_text()
            states = Counter(run["state_type"] for run in post(program, "/flow_runs/filter", {}).json())
            assert states == {"COMPLETED": int(counted.read_text()) + 1}


@pytest.mark.long
def test_a_flow_outlives_an_outage_of_redis(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """The same with the services apart: Redis stops under a flow, comes back empty, and every run completes.

    Prefect by itself answers 500 to each change of a state, which ends the flow and leaves it "running" for ever.
    """
    redis = Redis(tmp_path)
    environ = database_environment(migrated_database()) | {
        "PREFECT_FLY_API_KEYS": hashed(KEYS),
        "PREFECT_FLY_REDIS_URL": redis.url,
        "PREFECT_FLY_SEPARATE_SERVICES": "true",
    }
    with ExitStack() as ends:
        ends.callback(redis.stop)
        redis.start()
        services = ends.enter_context(running(Program(tmp_path, environ, verb="services")))
        program = ends.enter_context(running(Program(tmp_path, environ)))
        client, counted, done = ends.enter_context(looping_client(program, tmp_path))
        until(counted.exists, lambda: "the flow's first step")
        redis.stop()
        until(lambda: failed_answers(program) >= 1, lambda: "the flow meets the outage")
        assert "Redis does not answer (" in program.log
        assert "Exception in ASGI application" not in program.log
        assert client.poll() is None, (tmp_path / "client.log").read_text()
        redis.start()
        before = int(counted.read_text() or 0)
        until(lambda: int(counted.read_text() or 0) > before + 1, lambda: "the flow goes on")
        done.touch()
        assert client.wait(PATIENCE) == 0, (tmp_path / "client.log").read_text()
        states = Counter(run["state_type"] for run in post(program, "/flow_runs/filter", {}).json())
        assert states == {"COMPLETED": int(counted.read_text()) + 1}
        # Every part of Prefect that keeps something in Redis has to be told where it is.
        assert "localhost:6379" not in services.log


def test_a_database_that_takes_no_writes_is_waited_for(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """One that was made read-only, as Supabase does when it is too large, gives 503 to writes and answers reads."""
    url = migrated_database()
    name = name_of(url)
    with running(Program(tmp_path, database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed(KEYS)})) as program:
        postgres.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        postgres.execute(SESSIONS_END, name)
        said = "the database takes no writes: its disk is full, or it was made read-only ("
        until(lambda: written(program) == (503, "true") and said in program.log, lambda: program.log)
        until(lambda: post(program, "/flows/filter", {}).ok, lambda: program.log)
        postgres.execute(f'ALTER DATABASE "{name}" RESET ALL')
        postgres.execute(SESSIONS_END, name)
        until(lambda: written(program) == (201, None), lambda: program.log)


def written(program: Program) -> tuple[int, str | None]:
    """Make a flow of a new name; return the status and what is said of maintenance."""
    reply = post(program, "/flows/", {"name": f"flow-{token_hex(4)}"})
    return reply.status_code, reply.headers.get("Prefect-Maintenance")


def test_a_request_that_gets_no_connection_may_be_repeated(
    migrated_database: Callable[[], str], postgres: PostgresServer, tmp_path: Path
) -> None:
    """More requests than connections, all of which wait for a lock: each is told to come again, none ends a flow."""
    url = migrated_database()
    environ = database_environment(url) | {
        "PREFECT_FLY_API_KEYS": hashed(KEYS),
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE": "2",
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW": "1",
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_TIMEOUT": "1",
    }
    with running(Program(tmp_path, environ)) as program:
        assert post(program, "/flows/filter", {}).ok
        with locked(postgres, name_of(url), "prefect.flow"), ThreadPoolExecutor(8) as askers:
            replies = list(askers.map(lambda _: post(program, "/flows/filter", {}), range(8)))
        assert {(reply.status_code, reply.headers.get("Prefect-Maintenance")) for reply in replies} == {(503, "true")}
        assert "all connections to the database were busy for too long (" in program.log
        assert "Exception in ASGI application" not in program.log
        assert post(program, "/flows/filter", {}).ok


@contextmanager
def locked(postgres: PostgresServer, database: str, table: str) -> Iterator[None]:
    """Keep everybody from a table while the block runs."""
    holding = f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep({PATIENCE})"
    held = "SELECT pid FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = '{}'::regclass"
    with ThreadPoolExecutor(1) as other:
        session = other.submit(postgres.execute, holding, database)
        pid = until(lambda: postgres.execute(held.format(table), database), lambda: "the lock")
        try:
            yield
        finally:
            postgres.execute(f"SELECT pg_terminate_backend({pid})", database)
            assert isinstance(session.exception(PATIENCE), PostgresError)


@pytest.mark.long
def test_a_killed_server_loses_no_run_that_it_accepted(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """Kill -9 while runs are created as fast as they are taken: each that was answered with 201 is there afterwards."""
    environ = database_environment(migrated_database()) | {"PREFECT_FLY_API_KEYS": hashed(KEYS)}
    accepted: list[str] = []
    with running(Program(tmp_path, environ)) as program:
        flow = post(program, "/flows/", {"name": "killed"}).json()["id"]

        def create() -> None:
            while True:
                try:
                    reply = post(program, "/flow_runs/", {"flow_id": flow, "state": {"type": "SCHEDULED"}})
                except requests.RequestException:
                    return
                if reply.status_code == 201:
                    accepted.append(reply.json()["id"])

        threads = [threading.Thread(target=create) for _ in range(3)]
        for thread in threads:
            thread.start()
        until(lambda: len(accepted) >= 20, lambda: "twenty runs")
        assert program.stop(signal.SIGKILL) == -signal.SIGKILL
        for thread in threads:
            thread.join()
    with running(replace(program, process=None)) as again:
        found = post(again, "/flow_runs/count", {"flow_runs": {"id": {"any_": accepted}}})
        assert found.json() == len(accepted)
