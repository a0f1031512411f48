"""A stack's settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import settings
from settings import Settings, SettingsError
from settings.groups import GROUPS, SECRETS, GeneralSettings
from settings.problems import known_keys
from tests.support.stack_config import flat_config

ROOT = Path(settings.__file__).parents[1]


def parse(tmp_path: Path, **changes: Any) -> Settings:
    return settings.parse(flat_config(**changes), stack="dev", owner="0123456789ab", root=tmp_path)


def problems(tmp_path: Path, **changes: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        parse(tmp_path, **changes)
    return str(caught.value)


def test_the_runbooks_values_are_the_defaults(tmp_path: Path) -> None:
    """A stack that states only names gets the runbook: ewr, shared 1 CPU, 256 MB, a check every 3 minutes."""
    tree = parse(tmp_path)
    assert tree.fly is not None
    assert (tree.fly.region, tree.vm.cpu_kind, tree.vm.cpus, tree.vm.memory_mb) == ("ewr", "shared", 1, 256)
    assert tree.vm.swap_mb == 512
    assert tree.uptime.interval_seconds == 180
    assert tree.uptime.path == "/api/ready"
    assert tree.server_url == "https://acme-prefect.fly.dev"
    assert tree.api_url == "https://acme-prefect.fly.dev/api"
    assert tree.machine_regions == ("ewr",)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    """One run of a wrong stack names every key that has to change."""
    text = problems(
        tmp_path,
        fly={"org": None, "regon": "ewr"},
        vm={"memoryMb": 300, "replicas": "two"},
        keys={"current": 2},
        databaseUrl="postgresql://u:hunter2@h:6543/db",
        nonsense="1",
    )
    for key in ("fly.org", "fly.regon", "vm.memoryMb", "vm.replicas", "keys.current", "databaseUrl", "nonsense"):
        assert f"- {key}: " in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"vm": {"swapMb": 0}}, "256 MB of memory without swap"),
        ({"vm": {"cpus": 3}}, "vm.cpus: Fly sells no machine with 3 shared CPUs, only with 1, 2, 4, 6, 8"),
        ({"vm": {"memoryMb": 4096}}, "vm.memoryMb: 1 shared CPU(s) take 256 to 2048 MB, not 4096"),
        ({"vm": {"cpuKind": "performance"}}, "vm.memoryMb: 1 performance CPU(s) take 2048 to 8192 MB, not 256"),
        ({"vm": {"replicas": 2}}, "vm.replicas: 2 replicas need services.separate"),
        ({"database": {"schema": "acme_fly"}}, 'database.schema: "acme_fly" is not free'),
        ({"database": {"schema": "a" * 60}}, "database.schema: "),
        ({"services": {"separate": True}}, "redisUrl: services.separate needs it"),
        ({"redisUrl": "http://h"}, "redisUrl: it must start with redis://"),
        ({"keys": {"current": 1, "accepted": [1, 1]}}, "a generation stands twice"),
        ({"logins": ["admin", "github"]}, '"github" is the name of a consumer\'s own key'),
        ({"logins": ["a b"]}, "does not look right"),
        ({"logins": "admin"}, "logins: give a list of names"),
        ({"image": {"build": False}}, "image.reference: image.build is false"),
        ({"image": {"reference": "registry.fly.io/x:latest"}}, "image.reference"),
        ({"mode": "clowd"}, "mode: 'clowd' is not one of self-hosted, cloud"),
        ({"mode": "cloud"}, "cloud.apiUrl: mode: cloud needs it"),
        ({"databaseUrl": ""}, "databaseUrl: it is required"),
        ({"vm": "big"}, "vm: give a group of settings"),
        ({"orchestrator": {"connected": "yes"}}, "orchestrator.connected: 'yes' is not true or false"),
        ({"orchestrator": {"clientVersion": "3.4"}}, "orchestrator.clientVersion"),
        ({"orchestrator": {"clientVersion": "3.4.9"}}, "accept that with orchestrator.allowOldClient: true"),
        (
            {"orchestrator": {"clientVersion": "2.20.26", "allowOldClient": True}},
            "orchestrator.clientVersion: Prefect 2.20.26 cannot talk to a Prefect 3 server",
        ),
        ({"uptime": {"regions": ["mars"]}}, "uptime.regions[0]"),
        ({"uptime": {"intervalSeconds": 5}}, "uptime.intervalSeconds: 5 is below 30"),
        ({"vm": {"replicas": True}}, "vm.replicas: True is not a whole number"),
        ({"github": {"workflowInputs": {"a": 1}}}, "github.workflowInputs: give names with a text each"),
        ({"orchestrator": {"healthUrl": "http://127.0.0.1:1/health"}}, "the stack states endpoints: real"),
        ({"endpoints": "sandbox"}, "the stack states endpoints: sandbox"),
        ({"fly": {"urlTemplate": "http://localhost"}}, "fly.urlTemplate"),
    ],
)
def test_a_wrong_setting_is_named_with_the_reason(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    """Each rule of the configuration has a sentence that names its key."""
    assert sentence in problems(tmp_path, **changes)


@pytest.mark.parametrize(
    "variable", ["FLY_FLAPS_BASE_URL", "FLY_API_BASE_URL", "GITHUB_API_URL", "BETTERSTACK_BASE_URL"]
)
def test_a_shell_of_the_other_world_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Also an `up` that finds nothing to do says so; an API that the stack does not use may point anywhere."""
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    assert f"could not use {variable}" in problems(tmp_path)
    if variable == "BETTERSTACK_BASE_URL":
        parse(tmp_path, uptime={"enabled": False})


@pytest.mark.parametrize(
    "orchestrator",
    [{"clientVersion": "3.4.10"}, {"clientVersion": "3.8.8"}, {"clientVersion": "3.4.9", "allowOldClient": True}],
)
def test_a_client_that_can_be_helped_or_is_accepted_is_a_setting(tmp_path: Path, orchestrator: dict[str, Any]) -> None:
    """From 3.4.10 on, and an older one of Prefect 3 with allowOldClient."""
    assert parse(tmp_path, orchestrator=orchestrator).orchestrator.client_version == orchestrator["clientVersion"]


def test_cloud_needs_neither_a_database_nor_fly(tmp_path: Path) -> None:
    """mode: cloud with its URL and key is complete."""
    url = "https://api.prefect.cloud/api/accounts/a/workspaces/w"
    tree = parse(tmp_path, mode="cloud", cloud={"apiUrl": url}, cloudApiKey="pnu_x", databaseUrl="", fly={"org": None})
    assert tree.api_url == url
    assert tree.fly is None
    assert tree.connections is None


def test_no_secret_is_in_the_repr(tmp_path: Path) -> None:
    """The tree can be printed."""
    text = repr(parse(tmp_path, databaseUrl="postgresql://u:hunter2@h/db", redisUrl="redis://:hunter2@h"))
    assert "hunter2" not in text


def test_replicas_take_their_regions_in_turn(tmp_path: Path) -> None:
    """Three replicas in two regions are two and one."""
    tree = parse(
        tmp_path,
        vm={"replicas": 3, "regions": ["ewr", "ams"]},
        services={"separate": True},
        redisUrl="rediss://:p@h:6379/0",
    )
    assert tree.machine_regions == ("ewr", "ams", "ewr")


@pytest.mark.parametrize(
    ("mine", "key"),
    [
        ({}, "github.repository"),
        ({"github": {"repository": "other"}}, "orchestrator.app"),
        ({"github": {"repository": "x"}, "orchestrator": {"app": "other"}}, "fly.app"),
    ],
)
def test_two_stacks_with_the_same_target_are_refused(tmp_path: Path, mine: dict[str, Any], key: str) -> None:
    """Secrets, orchestrator and app belong to one stack of the repository."""
    other = flat_config()
    config = {key: json.loads(value) if value[:1] in "{[" else value for key, value in other.items()}
    (tmp_path / "Pulumi.prod.yaml").write_text(yaml.safe_dump({"config": config}))
    assert f"- {key}: stack 'prod' has the same" in problems(tmp_path, **mine)


@pytest.mark.parametrize("stack", ["prod", "staging"])
def test_the_committed_stacks_are_complete_but_for_the_database(stack: str) -> None:
    """What is committed needs only its secret, in the presence of the other stacks."""
    raw = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
    flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in raw.items()}
    flat["prefect-fly:databaseUrl"] = "postgresql://u:p@h/db"
    assert settings.parse(flat, stack=stack, owner="0" * 12, root=ROOT).stack == stack


def test_the_project_file_declares_every_key_with_a_default() -> None:
    """A declared key with neither default nor value would fail before the program could explain it."""
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert declared.keys() == {*GROUPS, *SECRETS, *known_keys(GeneralSettings)}
    assert all("default" in entry for entry in declared.values())
    assert {key for key, entry in declared.items() if entry.get("secret")} == SECRETS.keys()


def test_a_group_with_problems_hides_no_problem_of_the_others(tmp_path: Path) -> None:
    """Rules that need only what is valid are checked although something else is wrong."""
    text = problems(
        tmp_path,
        vm={"cpus": "many"},
        keys={"current": 3},
        image={"build": False},
        orchestrator={"healthUrl": "http://localhost/health"},
    )
    for key in ("vm.cpus", "keys.current", "image.reference"):
        assert f"- {key}: " in text
    assert 'orchestrator.healthUrl "http://localhost/health"' in text


def test_a_snake_case_spelling_is_no_setting(tmp_path: Path) -> None:
    """One spelling in the stack file, the one of the documentation."""
    assert "vm.memory_mb: no such setting. Known here: cpuKind, cpus, memoryMb" in problems(
        tmp_path, vm={"memory_mb": 512}
    )


def test_no_value_of_a_secret_is_in_a_problem(tmp_path: Path) -> None:
    """Each secret is given a wrong value that is a canary; none is shown."""
    wrong = {
        "databaseUrl": "mysql://u:canary@h/db",
        "redisUrl": "canary",
        "cloudApiKey": "canary",
        "databaseCa": "canary",
    }
    assert "canary" not in problems(tmp_path, **wrong)
    assert "canary" not in problems(tmp_path, mode="cloud", **wrong)


def test_groups_cannot_be_changed(tmp_path: Path) -> None:
    """What was checked stays as it was."""
    with pytest.raises(ValidationError):
        parse(tmp_path).vm.cpus = 2


NONCE = {"nonce": "{nonce}"}


def other_stack(tmp_path: Path, **github: Any) -> None:
    """Write the file of a stack that shares nothing but, unless changed, the repository's workflow."""
    config = {
        "github:owner": "Acme",
        "prefect-fly:fly": {"org": "acme", "app": "acme-prefect-2"},
        "prefect-fly:orchestrator": {"app": "acme-orchestrator-2", "healthUrl": "https://x.fly.dev/health"},
        "prefect-fly:github": {"repository": "acme", "environment": "staging", **github},
    }
    (tmp_path / "Pulumi.staging.yaml").write_text(yaml.safe_dump({"config": config}))


@pytest.mark.parametrize(("mine", "theirs"), [({}, NONCE), (NONCE, {}), ({}, {})])
def test_two_stacks_with_one_workflow_need_a_nonce_in_both(
    tmp_path: Path, mine: dict[str, str], theirs: dict[str, str]
) -> None:
    """Else one would follow the other's run; the sentence holds the line to add."""
    other_stack(tmp_path, workflowInputs=theirs)
    text = problems(tmp_path, github={"workflowInputs": mine})
    assert 'workflowInputs: { nonce: "{nonce}" }' in text


def test_with_a_nonce_or_another_workflow_two_stacks_do_not_meet(tmp_path: Path) -> None:
    """Names of GitHub ignore case; another file is another workflow."""
    other_stack(tmp_path, workflowInputs=NONCE)
    parse(tmp_path, github={"workflowInputs": NONCE})
    other_stack(tmp_path, workflow="deploy-staging.yml")
    parse(tmp_path)


def test_the_pooler_of_supabase_bounds_the_pool(tmp_path: Path) -> None:
    """DatabaseUrl leads to a session pooler: fifteen clients, unless the stack knows of more."""
    url = "postgresql://postgres.ref:pw@aws-0-eu-west-1.pooler.supabase.com:5432/postgres"
    tree = parse(tmp_path, databaseUrl=url)
    assert tree.connections is not None
    assert (tree.connections.total, tree.connections.pool_size, tree.connections.max_overflow) == (15, 3, 0)
    more = parse(tmp_path, databaseUrl=url, database={"poolerClients": 60})
    assert more.connections is not None
    assert more.connections.pool_size == 5


@pytest.mark.parametrize(
    ("base", "api"),
    [
        (None, "https://github.acme.example/api/v3"),
        ("https://github.acme.example/api/v3/", None),
        ("https://github.acme.example/api/v3/", "https://github.example/api/v3"),
    ],
)
def test_secrets_and_workflow_must_be_of_one_github(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str | None, api: str | None
) -> None:
    """The provider and the verbs have an address each; with two hosts the secrets would be in another repository."""
    for variable, value in (("GITHUB_BASE_URL", base), ("GITHUB_API_URL", api)):
        monkeypatch.setenv(variable, value) if value else monkeypatch.delenv(variable, raising=False)
    assert "- github:baseUrl: the repository's secrets would be written at" in problems(tmp_path)
    assert parse(tmp_path, orchestrator={"redeploy": "machines", "rollback": "machines"}).orchestrator.app


@pytest.mark.parametrize(
    ("base", "api"),
    [
        (None, None),
        ("https://github.com/", None),
        (None, "https://api.github.com"),
        ("https://GitHub.acme.example/api/v3/", "https://github.acme.example/api/v3"),
    ],
)
def test_one_github_may_be_spelled_in_several_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str | None, api: str | None
) -> None:
    """Case, a slash at the end and the web address of github.com make no difference."""
    for variable, value in (("GITHUB_BASE_URL", base), ("GITHUB_API_URL", api)):
        monkeypatch.setenv(variable, value) if value else monkeypatch.delenv(variable, raising=False)
    assert parse(tmp_path).orchestrator.app
