"""The program as the engine sees it: what is registered, in which order, and what is secret."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest

from clients.names import owner_of
from components import type_tokens
from providers.lifecycle import fingerprint
from tests.support.recording import Program, Registration, run_program
from tests.support.stack_config import flat_config

APP = "pulumi-python:dynamic/fly:App"
ADDRESS = "pulumi-python:dynamic/fly:IpAddress"
SECRETS = "pulumi-python:dynamic/fly:Secrets"
MACHINE = "pulumi-python:dynamic/fly:Machine"
MONITOR = "pulumi-python:dynamic/betterstack:Monitor"
KEY = "pulumi-python:dynamic/credentials:ApiKey"
KEY_RING = "pulumi-python:dynamic/credentials:KeyRing"
PUBLISHED = "pulumi-python:dynamic/prefect:PublishedKeys"
IMAGE = "docker:index/image:Image"
COMMAND = "command:local:Command"
GITHUB_SECRET = "github:index/actionsSecret:ActionsSecret"
REMOVABLE = "pulumi:index:Stash"

CLOUD = {
    "mode": "cloud",
    "cloud": {"apiUrl": "https://api.prefect.cloud/api/accounts/a/workspaces/w"},
    "cloudApiKey": "pnu_secret",
}
MANY = {"vm": {"replicas": 3, "regions": ["ewr", "ams"]}, "services": {"separate": True}, "redisUrl": "rediss://:p@h:1"}


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(flat_config())


def ordered(program: Program, *chain: Registration) -> None:
    for earlier, later in itertools.pairwise(chain):
        assert earlier.urn in program.before(later), f"{later.name} does not wait for {earlier.name}"


def wired(program: Program) -> set[str]:
    """URNs of the wiring and of everything below it."""
    found = {item.urn for item in program.of(type_tokens.ORCHESTRATOR_WIRING)}
    for item in program.resources:  # parents are registered before their children
        if item.parent in found:
            found.add(item.urn)
    return found


def test_exactly_these_resources_are_registered(program: Program) -> None:
    """The default stack is these types in these numbers, and nothing else."""
    counts = Counter(item.kind for item in program.resources)
    names = {*vars(type_tokens)} - {"ALERTS", "SERVER_OBJECTS"}
    components = {getattr(type_tokens, name): 1 for name in names if name.isupper()}
    assert counts == {
        "pulumi:pulumi:Stack": 1,
        **components,
        type_tokens.FLY_SECRETS: 3,
        APP: 1,
        ADDRESS: 2,
        SECRETS: 3,
        MACHINE: 1,
        MONITOR: 1,
        KEY: 6,
        KEY_RING: 1,
        PUBLISHED: 1,
        IMAGE: 1,
        COMMAND: 5,
        GITHUB_SECRET: 3,
        REMOVABLE: 1,
        "pulumi:providers:github": 1,
    }


def test_the_server_comes_up_in_order(program: Program) -> None:
    """App, then image and secrets, then the migration, then the machine, then the verification, then the monitor."""
    app, migrate = program.one(APP, "acme-prefect"), program.one(COMMAND, "acme-prefect-migrate")
    machine, verify = program.one(MACHINE, "acme-prefect-ewr-1"), program.one(COMMAND, "acme-prefect-verify")
    for middle in (program.one(IMAGE, "acme-prefect"), program.one(SECRETS, "acme-prefect"), *program.of(ADDRESS)):
        ordered(program, app, middle, migrate, machine, verify)
    ordered(program, verify, program.of(MONITOR)[0])


def test_destroying_runs_the_rollback_in_order(program: Program) -> None:
    """Verification and redeploy go first, then every secret, then the bookend, and only then anything of the server."""
    bookend = program.one(COMMAND, "acme-orchestrator-detach")
    redeploy, verify = (
        program.one(COMMAND, "acme-orchestrator-redeploy"),
        program.one(COMMAND, "acme-orchestrator-verify"),
    )
    server = program.one(COMMAND, "acme-prefect-verify")
    for secret in (*program.of(GITHUB_SECRET), program.one(SECRETS, "acme-orchestrator")):
        ordered(program, server, bookend, secret, redeploy, verify)
    for item in program.resources:
        if item.kind in {APP, ADDRESS, MACHINE, IMAGE}:
            ordered(program, item, bookend)


def test_the_monitor_needs_the_server_alone_and_goes_when_the_orchestrator_let_go(program: Program) -> None:
    """It depends on the server's verification only, and a failing rollback leaves it watching."""
    monitor = program.of(MONITOR)[0]
    names = {urn.rsplit("::", 1)[1] for urn in program.before(monitor)}
    assert "acme-prefect-verify" in names
    assert not any(name.startswith("acme-orchestrator") for name in names)
    ordered(program, monitor, program.one(COMMAND, "acme-orchestrator-detach"))


def test_the_bookend_stays_silent_until_it_is_deleted(program: Program) -> None:
    """It has only a delete; triggers or a create would dispatch in a normal up."""
    inputs = program.one(COMMAND, "acme-orchestrator-detach").inputs
    assert inputs.keys().isdisjoint({"create", "update", "triggers"})
    assert inputs["delete"].startswith("exec .venv/bin/python -m ops detach ")


def test_events_run_again_only_for_their_triggers(program: Program) -> None:
    """migrate: image and database; server-verify: revisions and URL; redeploy: secrets; verify: the redeploy's run."""
    triggers = {item.name: item.inputs.get("triggers") for item in program.of(COMMAND)}
    url = "postgresql+asyncpg://prefect:pw@db.example.com:5432/postgres?ssl=require"
    database = fingerprint(owner_of("acme", "prefect-fly", "dev"), url)
    assert triggers == {
        "acme-prefect-migrate": [
            program.one(MACHINE, "acme-prefect-ewr-1").inputs["config"]["image"],
            database,
        ],
        "acme-prefect-verify": [["rev-acme-prefect-ewr-1"], "https://acme-prefect.fly.dev", 1000],
        "acme-orchestrator-detach": None,
        "acme-orchestrator-redeploy": [program.one(COMMAND, "acme-orchestrator-redeploy").inputs["triggers"][0]],
        "acme-orchestrator-verify": [
            '{"started_at": 12.5, "url": "https://github.com/run/1"}',
            "acme-prefect-verify-id",
        ],
    }
    assert program.one(COMMAND, "acme-prefect-migrate").inputs["update"] == ":"


def test_no_command_can_leak(program: Program) -> None:
    """Commands show only their progress, inherit no previous output and keep secrets in their environment."""
    for command in program.of(COMMAND):
        assert command.inputs["logging"] == "stderr"
        assert command.inputs["addPreviousOutputInEnv"] is False
        text = f"{command.inputs.get('create')} {command.inputs.get('delete')}"
        assert not re.search(r"pf_[0-9a-f]{8}", text)
        for variable in command.inputs.get("environment", {}):
            assert f"environment.{variable}" in command.secret


def test_every_secret_value_is_marked_secret(program: Program) -> None:
    """Values of secrets and the registry password reach the engine as secrets."""
    for item in program.of(SECRETS):
        assert "values" in item.secret
    for item in program.of(GITHUB_SECRET):
        assert "value" in item.secret
    assert "registry.password" in program.of(IMAGE)[0].secret
    for item in program.of(KEY):
        assert "value" in item.options["additional_secret_outputs"]
    for item in (*program.of(KEY_RING), *program.of(PUBLISHED)):
        assert {"ring", "signing"} <= item.secret
        assert {"ring", "signing"} <= set(item.options["additional_secret_outputs"])
    assert {"uiLogin", "uiLoginKeys"} <= program.secret_exports


def test_no_planted_secret_is_in_a_plain_input() -> None:
    """Database, Redis and CA secrets stand only below inputs that are marked secret, and the check can find them."""
    planted = flat_config(
        databaseUrl="postgresql://u:CANARY1@h/db", redisUrl="rediss://:CANARY2@h:1", databaseCa="CANARY3"
    )
    program = run_program(planted)
    found = set()
    for item in program.resources:
        for path, value in item.inputs.items():
            for canary in re.findall(r"CANARY\d", str(value)):
                found.add(canary)
                assert any(secret == path or secret.startswith(f"{path}.") for secret in item.secret), (item.name, path)
    assert found == {"CANARY1", "CANARY2", "CANARY3"}


def test_the_image_survives_destroy_without_docker(program: Program) -> None:
    """The image is kept on delete, is linux/amd64, and nothing in the stack is protected."""
    image = program.of(IMAGE)[0]
    assert image.options["retain_on_delete"] is True
    assert image.inputs["build"]["platform"] == "linux/amd64"
    assert image.inputs["imageName"] == "registry.fly.io/acme-prefect:prefect"
    assert not any(item.options["protect"] for item in program.resources)


def test_the_machine_is_deployed_by_digest_as_the_runbook_says(program: Program) -> None:
    """Size, service, check, restart and metadata are the runbook's; the image is named by digest."""
    config = program.one(MACHINE, "acme-prefect-ewr-1").inputs["config"]
    assert "@sha256:" in config["image"]
    assert config["guest"] == {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
    assert config["init"] == {"cmd": ["serve"], "swap_size_mb": 512}
    assert config["restart"] == {"policy": "always"}
    assert config["metadata"] == {"fly_platform_version": "v2", "fly_process_group": "app"}
    assert config["env"]["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "P7D"
    assert config["env"]["PREFECT_FLY_LINEAGE_DAYS"] == "90"
    service = config["services"][0]
    assert (service["internal_port"], service["autostop"], service["min_machines_running"]) == (4200, "off", 1)
    assert service["ports"][0] == {"port": 80, "handlers": ["http"], "force_https": True}
    check = service["checks"][0]
    assert (check["path"], check["interval"], check["grace_period"]) == ("/api/ready", "30s", "60s")


def test_the_orchestrator_and_github_get_keys_of_their_own(program: Program) -> None:
    """All three variables reach both consumers, with different keys, each with its own name in the auth string."""
    ours = program.one(SECRETS, "acme-orchestrator").inputs["values"]
    theirs = {item.inputs["secretName"]: item.inputs["value"] for item in program.of(GITHUB_SECRET)}
    assert ours.keys() == theirs.keys() == {"PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING"}
    assert ours["PREFECT_API_URL"] == "https://acme-prefect.fly.dev/api"
    assert ours["PREFECT_API_KEY"] != theirs["PREFECT_API_KEY"]
    assert ours["PREFECT_API_AUTH_STRING"] == f"orchestrator:{ours['PREFECT_API_KEY']}"
    assert theirs["PREFECT_API_AUTH_STRING"] == f"github:{theirs['PREFECT_API_KEY']}"


def test_whatever_has_one_name_outside_is_deleted_before_it_is_replaced(program: Program) -> None:
    """Secrets, machines, app, addresses and monitor: creating first would delete what was just made."""
    for kind in (GITHUB_SECRET, SECRETS, MACHINE, APP, ADDRESS, MONITOR):
        for item in program.of(kind):
            assert item.options["delete_before_replace"] is True, item.name


def test_many_machines_roll_one_after_the_other() -> None:
    """Three replicas in two regions and the services machine depend on one another in turn."""
    program = run_program(flat_config(**MANY))
    names = ["acme-prefect-ewr-1", "acme-prefect-ams-1", "acme-prefect-ewr-2", "acme-prefect-ewr-services"]
    machines = [program.one(MACHINE, name) for name in names]
    ordered(program, *machines)
    assert [item.inputs["config"]["init"]["cmd"] for item in machines] == [["serve"]] * 3 + [["services"]]
    assert "services" not in machines[-1].inputs["config"]
    assert machines[-1].inputs["config"]["checks"]["metrics"]["port"] == 9091
    assert all(item.inputs["config"]["env"]["PREFECT_FLY_SEPARATE_SERVICES"] == "true" for item in machines)


def test_detached_means_no_wiring_and_the_same_server(program: Program) -> None:
    """connected: false registers the same server resources, and nothing of the orchestrator or of GitHub."""
    detached = run_program(flat_config(orchestrator={"connected": False}))
    assert wired(program)
    assert not wired(detached)
    assert {item.urn for item in detached.resources} == {item.urn for item in program.resources} - wired(program)
    assert not detached.of(GITHUB_SECRET)
    assert detached.exports["orchestratorConnected"] is False


def test_an_image_built_elsewhere_needs_no_docker() -> None:
    """image.reference registers no Image and deploys exactly that digest."""
    reference = f"registry.fly.io/acme-prefect@sha256:{'a' * 64}"
    program = run_program(flat_config(image={"reference": reference}))
    assert not program.of(IMAGE)
    assert program.of(MACHINE)[0].inputs["config"]["image"] == reference


def test_people_are_told_what_they_need(program: Program) -> None:
    """The outputs hold addresses, cost, key names and what to do next."""
    exports = program.exports
    assert exports["serverUrl"] == "https://acme-prefect.fly.dev"
    assert exports["monthlyCostUsd"] == 1.94
    assert exports["keyNames"] == ["admin", "github", "orchestrator", "pulumi", "verify"]
    assert exports["machineIds"].keys() == {"ewr-1"}
    assert exports["uiLogin"].startswith("admin:pf_")
    assert "18 of 60 connections" in exports["databaseConnections"]
    assert "https://acme-prefect.fly.dev" in exports["readme"]
    assert "`prefect-fly:logins: [admin, <name>]` in Pulumi.dev.yaml" in exports["readme"]
    assert exports["redeployRun"] == "https://github.com/run/1"
