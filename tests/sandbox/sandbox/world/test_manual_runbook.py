"""The manual runbook can be done on the sandbox: what it leaves behind is what a stack has to take over."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from sandbox.captionacc import SERVER
from sandbox.testing import running_sandbox
from tests.support.manual_runbook import SECRET, follow


@pytest.mark.long
@pytest.mark.prefect
def test_the_runbook_leaves_two_open_servers_and_their_history_in_public(tmp_path: Path) -> None:
    """Both machines answer without credentials from one database, and a finished run is in public.flow_run."""
    with running_sandbox(tmp_path, driver="process", postgres=True) as sb:
        made = follow(sb)
        run = made.run_flow("by-hand")
        for machine in made.machines:
            assert made.ask("flow_runs/count", machine=machine) == 1
        assert sb.postgres.execute("SELECT id FROM public.flow_run") == run
        app = sb.fly.state.apps[SERVER]
        assert (list(app.secrets), app.releases[0]["status"]) == ([SECRET], "complete")
        assert {machine.config["metadata"]["fly_process_group"] for machine in app.live_machines} == {"app"}
        assert requests.get(f"{made.url}/api/ready", timeout=600).status_code == 200
