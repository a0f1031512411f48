"""Two API servers without services, one machine with the services, a real Redis: Prefect's own distributed mode."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.image.conftest import KEYS
from tests.support.edge import failing_over
from tests.support.lineage import ask, wait_for
from tests.support.prefect_server import Program, database_environment, hashed, result_of, run_client
from tests.support.redis import running_redis
from toolchain.prefect_env import prefect_python

pytestmark = [pytest.mark.prefect, pytest.mark.long]

CLIENTS = Path(__file__).parent / "clients"
CREDENTIAL = {
    "PREFECT_API_KEY": KEYS["orchestrator"],
    "PREFECT_API_AUTH_STRING": f"orchestrator:{KEYS['orchestrator']}",
}


@dataclass
class Fleet:
    """The machines of one deployment."""

    api: list[Program]
    services: Program


@pytest.fixture(scope="module")
def fleet(migrated_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    home = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(home))
        environ = database_environment(migrated_database()) | {
            "PREFECT_FLY_API_KEYS": hashed(KEYS),
            "PREFECT_FLY_REDIS_URL": redis,
            "PREFECT_FLY_SEPARATE_SERVICES": "true",
        }
        machines = [Program(home, environ), Program(home, environ), Program(home, environ, verb="services")]
        for machine in machines:
            # All at once, on a database whose block types `migrate` has written: nobody fights.
            machine.start()
            stack.callback(machine.stop)
        for machine in machines:
            machine.wait_ready()
        yield Fleet(machines[:2], machines[2])


@pytest.mark.parametrize("which", [0, 1])
def test_round_trip_on_each(fleet: Fleet, which: int) -> None:
    """Flows, task runs, logs and events work whole through each API server; the services write what they hear."""
    result = result_of(run_client(CLIENTS / "round_trip.py", fleet.api[which].client_environment(**CREDENTIAL)))
    assert result == {"run": "Completed", "tasks": ["Completed"] * 4, "logs": 4, "heard": ["back again"]}


def test_automation_fires(fleet: Fleet) -> None:
    """An automation made through one API server is fired by the services machine and calls its webhook."""
    result = result_of(run_client(CLIENTS / "automate.py", fleet.api[0].client_environment(**CREDENTIAL)))
    assert result == {"called": "alarm"}


def test_lineage_is_the_same_on_each(fleet: Fleet) -> None:
    """Materialisations through one API server are kept once, by the services machine, and shown by both."""
    result_of(run_client(CLIENTS / "lineage.py", fleet.api[0].client_environment(**CREDENTIAL)))
    graph = wait_for(fleet.api[1], lambda found: len(found["edges"]) == 3)
    assert ask(fleet.api[0]) == graph
    key = "postgres://warehouse/captions/clean"
    assert len(ask(fleet.api[0], "/asset", key=key)["runs"]) == 2


def test_killed_machine_stops_nobody(fleet: Fleet) -> None:
    """One API server killed under load: clients that come through an edge carry on, and every run completes."""
    victim = fleet.api[0]
    with failing_over([machine.port for machine in fleet.api]) as port:
        environ = victim.client_environment(**CREDENTIAL, PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
        before = fleet.api[1].log
        client = subprocess.Popen(
            [prefect_python(), CLIENTS / "load.py", "60", "5"],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert client.stderr is not None
        seen = 0
        while seen < 10:  # ten lines of the client's log are well before its end
            assert client.stderr.readline(), client.communicate()
            seen += 1
        victim.stop(signal.SIGKILL)
        out, errors = client.communicate(timeout=600)
    assert client.returncode == 0, errors[-3000:]
    assert json.loads(out.strip().splitlines()[-1])["completed"] >= 60
    assert "Traceback" not in fleet.api[1].log.removeprefix(before)
    victim.start()
    victim.wait_ready()


def test_services_end_on_sigterm(fleet: Fleet) -> None:
    """The services machine ends by itself on SIGTERM, within Fly's kill timeout, and comes back."""
    assert fleet.services.stop() == 0
    fleet.services.start()
    fleet.services.wait_ready()
