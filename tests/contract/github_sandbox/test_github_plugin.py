"""The GitHub plugin against the emulated GitHub: both behave towards each other as the facts say the real ones do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.captionacc import REPOSITORY
from sandbox.github.models import Vault
from sandbox.testing import Sandbox, running_sandbox
from tests.support.cli_stack import CliStack

PROGRAM = """
    import pulumi
    import pulumi_github as github

    value = pulumi.Output.secret(VALUE)
    github.ActionsSecret(
        "key", repository="captionacc", secret_name="PREFECT_API_KEY", value=value,
        opts=pulumi.ResourceOptions(delete_before_replace=DELETE_FIRST),
    )
"""
PLACE = f"/api/v3/repos/{REPOSITORY}"
NAME = f"{PLACE}/actions/secrets/PREFECT_API_KEY"
KIND = "github:index/actionsSecret:ActionsSecret"
pytestmark = pytest.mark.engine


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(tmp_path / "sandbox") as running:
        yield running


@pytest.fixture
def stack(sandbox: Sandbox, tmp_path: Path) -> CliStack:
    """A stack with one secret, not yet deployed."""
    env = sandbox.env()
    wanted = {name: env[name] for name in ("GITHUB_BASE_URL", "GITHUB_TOKEN")}
    stack = CliStack(tmp_path / "stack", {**wanted, "GITHUB_OWNER": "captionacc"})
    stack.cli("config", "set", "github:writeDelayMs", "0", expect=0)
    stack.program(PROGRAM, VALUE="first value", DELETE_FIRST=True)
    return stack


def calls(sandbox: Sandbox) -> list[tuple[str, str, int]]:
    """Return what GitHub was asked since the last time, repetitions left out, and forget it."""
    found = [(entry["method"], entry["path"], entry["status"]) for entry in sandbox.journal("github")]
    sandbox.world.core.journal.clear()
    return list(dict.fromkeys(found))


def failed_destroy(stack: CliStack, *arguments: str) -> str:
    """Run a `destroy` that must fail and return what it said."""
    done = stack.cli("destroy", "--yes", "--skip-preview", *arguments)
    assert done.code != 0, done.text
    return done.text


def test_whole_life(sandbox: Sandbox, stack: CliStack) -> None:
    """Created, unchanged, changed and destroyed with the calls the facts name; the sealed values arrive."""
    stack.up()
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == "first value"
    made = calls(sandbox)
    assert [call for call in made if call[0] == "PUT"] == [("PUT", NAME, 201)]
    assert made.index(("GET", f"{PLACE}/actions/secrets/public-key", 200)) < made.index(("PUT", NAME, 201))
    stack.preview("--expect-no-changes")
    stack.preview("--refresh", "--expect-no-changes")
    assert ("GET", NAME, 200) in calls(sandbox)
    stack.program(PROGRAM, VALUE="second value", DELETE_FIRST=True)
    stack.up()
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == "second value"
    assert ("PUT", NAME, 204) in calls(sandbox)
    assert "second value" not in stack.state()
    stack.destroy()
    assert ("DELETE", NAME, 204) in calls(sandbox)
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") is None
    assert sandbox.github.secret(REPOSITORY, "SUPABASE_SERVICE_KEY") is not None


def test_preview_asks_for_the_organisation_only(sandbox: Sandbox, stack: CliStack) -> None:
    """A preview makes one call, to learn who the owner is, and writes nothing."""
    stack.preview()
    assert calls(sandbox) == [("GET", "/api/v3/orgs/captionacc", 200)]


def test_foreign_change_is_only_recorded(sandbox: Sandbox, stack: CliStack) -> None:
    """A secret changed by hand shows in the state after a refresh, yet `up` leaves it: replacing it is what fixes it.

    The provider compares `remote_updated_at` with itself there (github/util_diff.go of version 6.13.0, diffSecret).
    """
    stack.up()
    sandbox.github.repository(REPOSITORY).vault.put("PREFECT_API_KEY", "by hand", sandbox.clock.time() + 60)
    stack.up("--refresh")
    outputs = stack.resource(KIND)["outputs"]
    assert outputs["remoteUpdatedAt"] != outputs["updatedAt"]
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == "by hand"
    stack.up("--replace", str(stack.resource(KIND)["urn"]))
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == "first value"


def test_replacement_must_delete_first(sandbox: Sandbox, stack: CliStack) -> None:
    """Replaced in the engine's usual order, create then delete, the secret is gone: it has to be deleted first."""
    stack.program(PROGRAM, VALUE="first value", DELETE_FIRST=False)
    stack.up()
    stack.up("--replace", str(stack.resource(KIND)["urn"]))
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") is None
    stack.program(PROGRAM, VALUE="first value", DELETE_FIRST=True)
    stack.up("--refresh")
    stack.up("--replace", str(stack.resource(KIND)["urn"]))
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == "first value"


def test_removed_by_hand(sandbox: Sandbox, stack: CliStack) -> None:
    """A secret removed by hand makes a plain destroy fail on its 404; destroy --refresh goes through."""
    stack.up()
    del sandbox.github.repository(REPOSITORY).vault.secrets["PREFECT_API_KEY"]
    assert "404 Not Found" in failed_destroy(stack)
    stack.destroy("--refresh")
    assert KIND not in stack.types()


def test_wrong_token(sandbox: Sandbox, stack: CliStack) -> None:
    """A wrong token is an error of the plugin, not an empty world."""
    stack.up()
    stack.variables["GITHUB_TOKEN"] = "wrong"
    assert "401 Bad credentials" in failed_destroy(stack, "--refresh")
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") == "first value"


def test_environment_secret(sandbox: Sandbox, stack: CliStack) -> None:
    """A secret of an environment goes there and nowhere else, and is removed again; no environment is an error."""
    stack.program(
        """
        import pulumi
        import pulumi_github as github

        github.ActionsEnvironmentSecret(
            "key", repository="captionacc", environment="production", secret_name="PREFECT_API_KEY",
            value=pulumi.Output.secret("of production"),
        )
        """
    )
    assert "404" in stack.cli("up", "--yes", "--skip-preview").text
    sandbox.github.repository(REPOSITORY).environments["production"] = Vault()
    stack.up()
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY", "production") == "of production"
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY") is None
    stack.preview("--refresh", "--expect-no-changes")
    stack.destroy()
    assert sandbox.github.secret(REPOSITORY, "PREFECT_API_KEY", "production") is None
