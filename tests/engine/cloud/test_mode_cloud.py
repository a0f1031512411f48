"""`mode: cloud` through the real engine: the real orchestrator against the Cloud-like workspace, and back again."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from sandbox.captionacc import ORCHESTRATOR, REPOSITORY
from sandbox.testing import Sandbox, running_sandbox
from tests.support.engine import Engine
from tests.support.stub_world import stack_config
from tests.support.waiting import until

pytestmark = [pytest.mark.engine, pytest.mark.prefect, pytest.mark.long]


def _config(sandbox: Sandbox) -> dict[str, object]:
    config = stack_config(sandbox)
    for unused in ("image", "databaseUrl", "fly"):
        del config[f"prefect-fly:{unused}"]
    return config | {
        "prefect-fly:mode": "cloud",
        "prefect-fly:fly": {"org": "captionacc"},
        "prefect-fly:cloud": {"apiUrl": sandbox.cloud.api_url},
        "prefect-fly:cloudApiKey": sandbox.cloud.workspace.key,
        "prefect-fly:timeouts": {"redeploy": 120},
    }


def _health(sandbox: Sandbox) -> dict[str, object]:
    health: dict[str, object] = sandbox.status()["orchestrator"]["health"]
    return health


def test_cloud_is_wired_and_unwired(tmp_path: Path) -> None:
    """Up makes the orchestrator run its flow in the workspace with URL and key alone; destroy brings back ephemeral."""
    with running_sandbox(tmp_path / "sandbox", "process", postgres=False) as sandbox:
        engine = Engine(tmp_path / "stack", sandbox.env())
        engine.set(_config(sandbox))
        engine.up()
        secrets = {each.name for each in sandbox.fly.state.apps[ORCHESTRATOR].secrets.values()}
        assert {"PREFECT_API_URL", "PREFECT_API_KEY"} <= secrets
        assert "PREFECT_API_AUTH_STRING" not in secrets
        assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == sandbox.cloud.workspace.key
        assert list(sandbox.fly.state.apps) == [ORCHESTRATOR]
        served = {"mode": "server", "last_run": "COMPLETED"}
        until(lambda: _health(sandbox)["flows"] == served, lambda: _health(sandbox), every=0.5)
        headers = {"Authorization": f"Bearer {sandbox.cloud.workspace.key}"}
        runs = requests.post(f"{sandbox.cloud.api_url}/flow_runs/filter", json={}, headers=headers, timeout=600).json()
        assert [run["state_type"] for run in runs] == ["COMPLETED"]
        assert engine.preview(expect_no_changes=True) == {}
        engine.destroy()
        assert sandbox.status()["orchestrator"]["health"]["components"]["prefect"] == "not_configured"
        assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") is None
        assert sandbox.cloud.workspace.key not in engine.state() + engine.text()
