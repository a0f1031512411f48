"""From a server of our own to Prefect Cloud and back: what must not be seen by the redeploy is gone before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.captionacc import ORCHESTRATOR, REPOSITORY, WORKFLOW
from tests.engine.program.conftest import Deployment
from tests.support.engine import Engine
from tests.support.stub_world import stack_config, stub_world

pytestmark = [pytest.mark.engine, pytest.mark.long]

DISPATCH = f"github POST /repos/{REPOSITORY}/actions/workflows/{WORKFLOW}/dispatches"
AUTH_STRING = f"github DELETE /api/v3/repos/{REPOSITORY}/actions/secrets/PREFECT_API_AUTH_STRING"


def test_the_auth_string_leaves_github_before_the_redeploy(tmp_path: Path) -> None:
    """In the auth string's presence a workflow would present it to Prefect Cloud; a switch back brings it again."""
    with stub_world(tmp_path / "sandbox") as sandbox:
        deployment = Deployment(sandbox, Engine(tmp_path / "stack", sandbox.env()))
        deployment.configure()
        deployment.engine.up()
        assert deployment.ours <= deployment.github_secrets()

        own = stack_config(sandbox)
        deployment.engine.set(
            own
            | {
                "prefect-fly:mode": "cloud",
                "prefect-fly:cloud": {"apiUrl": sandbox.cloud.api_url},
                "prefect-fly:cloudApiKey": sandbox.cloud.workspace.key,
            }
        )
        seen = len(sandbox.journal())
        deployment.engine.up()
        changes = deployment.changes(seen)
        assert changes.count(DISPATCH) == 1
        assert changes.count(AUTH_STRING) == 1
        assert changes.index(AUTH_STRING) < changes.index(DISPATCH)
        assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == sandbox.cloud.workspace.key
        assert deployment.app_names() == [ORCHESTRATOR]
        assert deployment.engine.preview(expect_no_changes=True) == {}

        deployment.engine.set(own | {"prefect-fly:mode": "self-hosted"})
        deployment.fixed()
        assert deployment.ours <= deployment.github_secrets()
        deployment.engine.destroy()
        assert not deployment.ours & deployment.github_secrets()
