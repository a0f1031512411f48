"""From the manual runbook to the stack with everything real: the history is there afterwards, with one `up`."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from sandbox.captionacc import ORCHESTRATOR, SERVER
from sandbox.testing import running_sandbox
from tests.support.engine import Engine
from tests.support.manual_runbook import SECRET, follow
from tests.support.stub_world import stack_config

pytestmark = [pytest.mark.engine, pytest.mark.prefect, pytest.mark.long]


def test_one_up_takes_the_runbooks_server_over_with_its_history(tmp_path: Path) -> None:
    """Two open servers with their tables in `public` become one with keys, which shows the flow run made before."""
    with running_sandbox(home=tmp_path / "sandbox", driver="process") as sandbox:
        made = follow(sandbox)
        run = made.run_flow("by-hand")
        engine = Engine(tmp_path / "stack", sandbox.env())
        config = stack_config(
            sandbox,
            fly={"adoptExisting": True},
            orchestrator={"takeOver": True},
            database={"schema": "public"},
        )
        secrets = {
            "prefect-fly:databaseUrl": sandbox.postgres.url(),
            "prefect-fly:databaseCa": Path(sandbox.env()["SANDBOX_DATABASE_CA_FILE"]).read_text(),
        }
        engine.set({**config, **secrets})
        engine.up()
        (machine,) = sandbox.fly.state.apps[SERVER].live_machines
        assert machine.id not in made.machines, "one beside it took its place"
        assert SECRET not in sandbox.fly.state.apps[SERVER].secrets
        assert requests.post(f"{made.url}/api/flow_runs/count", json={}, timeout=600).status_code == 401
        key = engine.outputs()["uiLogin"].partition(":")[2]
        found = requests.get(
            f"{made.url}/api/flow_runs/{run}", headers={"Authorization": f"Bearer {key}"}, timeout=600
        ).json()
        assert (found["id"], found["state_type"]) == (run, "COMPLETED")
        assert engine.preview(expect_no_changes=True, refresh=True) == {}
        engine.destroy()
        assert list(sandbox.fly.state.apps) == [ORCHESTRATOR]
        assert sandbox.postgres.execute("SELECT id FROM public.flow_run WHERE state_type = 'COMPLETED'").count(run) == 1
