"""Two API machines and a services machine on Redis, deployed by the program; everything in it is real."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from sandbox import captionacc
from sandbox.testing import Sandbox, running_sandbox
from tests.support.engine import Engine
from tests.support.redis import running_redis
from tests.support.stub_world import stack_config
from tests.support.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.prefect, pytest.mark.long]


def orchestrator(sandbox: Sandbox) -> tuple[str, str | None]:
    """What the orchestrator says of Prefect, and how its last run ended."""
    health = sandbox.status()["orchestrator"]["health"] or {}
    return health.get("components", {}).get("prefect", "no answer"), health.get("flows", {}).get("last_run")


def wait_for(sandbox: Sandbox, wanted: tuple[str, str | None]) -> None:
    """Wait until the orchestrator says so."""
    until(lambda: orchestrator(sandbox) == wanted, lambda: orchestrator(sandbox), every=0.5)


def stop_by_hand(sandbox: Sandbox, machine: str) -> None:
    """Stop a server machine as a person with a token would."""
    env = sandbox.env()
    url = f"{env['FLY_FLAPS_BASE_URL']}/v1/apps/{captionacc.SERVER}/machines/{machine}/stop"
    requests.post(url, headers={"Authorization": f"Bearer {env['FLY_API_TOKEN']}"}, timeout=600).raise_for_status()


def test_a_distributed_server_serves_and_survives_the_loss_of_a_machine(tmp_path: Path) -> None:
    """Three machines in their roles, a run that completes over them, and one API machine stopped: clients carry on."""
    with running_redis(tmp_path) as redis, running_sandbox(home=tmp_path / "sandbox", driver="process") as sandbox:
        engine = Engine(tmp_path / "stack", sandbox.env())
        config = stack_config(sandbox, vm={"replicas": 2}, services={"separate": True}, timeouts={"healthy": 600})
        authority = Path(sandbox.env()["SANDBOX_DATABASE_CA_FILE"]).read_text()
        secrets = {
            "prefect-fly:redisUrl": redis,
            "prefect-fly:databaseUrl": sandbox.postgres.url(),
            "prefect-fly:databaseCa": authority,
        }
        engine.set({**config, **secrets})
        engine.up()
        machines = sandbox.fly.state.apps[captionacc.SERVER].live_machines
        assert [machine.config["init"]["cmd"] for machine in machines] == [["serve"], ["serve"], ["services"]]
        assert engine.outputs()["machineIds"].keys() == {"ewr-1", "ewr-2", "ewr-services"}
        wait_for(sandbox, ("healthy", "COMPLETED"))
        first = machines[0]
        stop_by_hand(sandbox, first.id)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert sandbox.status()["orchestrator"]["health"] is not None
            time.sleep(1)
        wait_for(sandbox, ("healthy", "COMPLETED"))
        engine.up(refresh=True)
        assert all(machine.state == "started" for machine in sandbox.fly.state.apps[captionacc.SERVER].live_machines)
        engine.destroy()
        wait_for(sandbox, ("not_configured", "COMPLETED"))
