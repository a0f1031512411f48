"""The secrets of GitHub as the engine sees them: where they are, what they hang on, when their plugin starts."""

from __future__ import annotations

from tests.pure.components.test_graph import (
    APP,
    CLOUD,
    COMMAND,
    GITHUB_SECRET,
    IMAGE,
    KEY,
    MACHINE,
    MONITOR,
    REMOVABLE,
    SECRETS,
    ordered,
    wired,
)
from tests.support.recording import run_program
from tests.support.stack_config import flat_config

ENVIRONMENT_SECRET = "github:index/actionsEnvironmentSecret:ActionsEnvironmentSecret"


def test_githubs_plugin_is_started_while_the_migration_runs() -> None:
    """Its provider waits for the secrets that are set beside the migration, and for no Command."""
    program = run_program(flat_config())
    (provider,) = program.of("pulumi:providers:github")
    ordered(program, program.one(SECRETS, "acme-prefect-keys"), provider)
    (parent,) = [item for item in program.resources if item.urn == provider.parent]
    assert not {item.urn for item in program.of(COMMAND)} & (program.before(provider) | program.before(parent))


def test_cloud_wires_the_same_resources_without_a_server() -> None:
    """A change of mode keeps the wiring's URNs, but for the auth string, which would win over the key.

    What that hangs on stays, so that replacing it takes the auth string away before the redeploy.
    """
    program, cloud = run_program(flat_config()), run_program(flat_config(**CLOUD))
    went = {f"{GITHUB_SECRET}::repository-PREFECT_API_AUTH_STRING"}
    came = {f"{REMOVABLE}::repository-PREFECT_CLIENT_CUSTOM_HEADERS"}
    assert {urn.rpartition("$")[2] for urn in wired(program) - wired(cloud)} == went
    assert {urn.rpartition("$")[2] for urn in wired(cloud) - wired(program)} == came
    redeploy = cloud.one(COMMAND, "acme-orchestrator-redeploy")
    for item in cloud.of(REMOVABLE):
        ordered(cloud, item, redeploy)
    for kind in (APP, MACHINE, IMAGE, MONITOR, KEY):
        assert not cloud.of(kind)
    secrets = cloud.one(SECRETS, "acme-orchestrator").inputs
    assert secrets["values"]["PREFECT_API_KEY"] == "pnu_secret"
    assert secrets["absent"] == ["PREFECT_API_AUTH_STRING", "PREFECT_CLIENT_CUSTOM_HEADERS"]
    assert cloud.exports["monthlyCostUsd"] == 0


def test_an_environment_takes_the_secrets_instead_of_the_repository() -> None:
    """github.environment makes environment secrets, under names that carry the environment."""
    program = run_program(flat_config(github={"environment": "staging"}))
    assert not program.of(GITHUB_SECRET)
    assert {item.name for item in program.of(ENVIRONMENT_SECRET)} == {
        f"environment-staging-{name}" for name in ("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
    }
