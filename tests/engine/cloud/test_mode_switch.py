"""From a server of our own to Prefect Cloud and back: what must not be seen by the redeploy is gone before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation

from sandbox.captionacc import ORCHESTRATOR, REPOSITORY, WORKFLOW
from tests.engine.program.conftest import Deployment
from tests.support.engine import Engine
from tests.support.stub_world import stub_world

pytestmark = [pytest.mark.engine, pytest.mark.long]

DISPATCH = f"github POST /repos/{REPOSITORY}/actions/workflows/{WORKFLOW}/dispatches"
SECRETS = f"/api/v3/repos/{REPOSITORY}/actions/secrets"
AUTH_STRING = f"github DELETE {SECRETS}/PREFECT_API_AUTH_STRING"
HEADERS = f"github DELETE {SECRETS}/PREFECT_CLIENT_CUSTOM_HEADERS"


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with stub_world(tmp_path / "sandbox") as sandbox:
        yield Deployment(sandbox, Engine(tmp_path / "stack", sandbox.env()))


def set_mode(deployment: Deployment, mode: str) -> None:
    cloud = deployment.sandbox.cloud
    settings = {"mode": mode, "cloud": {"apiUrl": cloud.api_url}, "cloudApiKey": cloud.workspace.key}
    deployment.engine.set({f"prefect-fly:{name}": value for name, value in settings.items()})


def test_the_auth_string_leaves_github_before_the_redeploy(deployment: Deployment) -> None:
    """In the auth string's presence a workflow would present it to Prefect Cloud; a switch back brings it again.

    Address and key are overwritten: a deployment that somebody else starts meanwhile finds them.
    """
    github = deployment.sandbox.github
    deployment.configure()
    deployment.engine.up()
    assert deployment.ours <= deployment.github_secrets()

    set_mode(deployment, "cloud")
    seen = len(deployment.sandbox.journal())
    deployment.engine.up()
    changes = deployment.changes(seen)
    assert changes.count(DISPATCH) == 1
    assert [change for change in changes if change.startswith("github DELETE")] == [AUTH_STRING]
    assert changes.index(AUTH_STRING) < changes.index(DISPATCH)
    assert github.secret(REPOSITORY, "PREFECT_API_KEY") == deployment.sandbox.cloud.workspace.key
    assert deployment.app_names() == [ORCHESTRATOR]
    assert deployment.engine.preview(expect_no_changes=True) == {}

    set_mode(deployment, "self-hosted")
    seen = len(deployment.sandbox.journal())
    deployment.fixed()
    assert not [change for change in deployment.changes(seen) if change.startswith("github DELETE")]
    assert deployment.ours <= deployment.github_secrets()
    deployment.engine.destroy()
    assert not deployment.ours & deployment.github_secrets()


def test_what_was_deleted_is_not_deleted_again(deployment: Deployment) -> None:
    """Of two names that go one cannot be deleted: nothing is redeployed, and the next `up` deletes that one alone.

    The engine marks as "pending replacement" what it deleted, and GitHub's provider takes a second 404 for a failure.
    """
    deployment.configure(orchestrator={"clientVersion": "3.6.13"})
    deployment.engine.up()
    faults = deployment.sandbox.faults("github")
    refused = faults.add("DELETE", "/PREFECT_CLIENT_CUSTOM_HEADERS$", status=500, times=None)
    set_mode(deployment, "cloud")
    seen = len(deployment.sandbox.journal())
    deployment.up_fails()
    assert refused.hits
    assert AUTH_STRING in deployment.changes(seen)
    assert DISPATCH not in deployment.changes(seen)

    faults.clear()
    seen = len(deployment.sandbox.journal())
    deployment.fixed()
    changes = deployment.changes(seen)
    assert [change for change in changes if change.startswith("github DELETE")] == [HEADERS]
    assert changes.index(HEADERS) < changes.index(DISPATCH)


def test_what_a_deletion_that_was_interrupted_needs(deployment: Deployment) -> None:
    """The runbook's way out: GitHub's provider wants to find what it deletes, so it is given something to find.

    The state is what a ^C leaves that comes while the auth string is deleted: it is gone, and what it hangs on is not.
    """
    deployment.configure()
    deployment.engine.up()
    vault = deployment.sandbox.github.repository(REPOSITORY).vault
    state = json.loads(deployment.engine.state())["checkpoint"]["latest"]
    for resource in state["resources"]:
        if resource["urn"].endswith("ActionsSecret::repository-PREFECT_API_AUTH_STRING"):
            resource["pendingReplacement"] = True
    deployment.engine.restore({"version": 3, "deployment": state})
    del vault.secrets["PREFECT_API_AUTH_STRING"]
    set_mode(deployment, "cloud")
    with pytest.raises(automation.CommandError, match="PREFECT_API_AUTH_STRING: 404"):
        deployment.engine.up(refresh=True)

    vault.put("PREFECT_API_AUTH_STRING", "gone", deployment.sandbox.clock.time())  # gh secret set …
    deployment.fixed()
    assert "PREFECT_API_AUTH_STRING" not in deployment.github_secrets()
