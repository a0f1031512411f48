"""What the program registers for alerts and other objects on the server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components import type_tokens
from tests.pure.components.test_graph import APP, CLOUD, COMMAND, ordered
from tests.support.recording import Program, run_program
from tests.support.stack_config import flat_config

BLOCK = "pulumi-python:dynamic/prefect:NotificationBlock"
AUTOMATION = "pulumi-python:dynamic/prefect:Automation"
VARIABLE = "pulumi-python:dynamic/prefect:Variable"
POOL = "pulumi-python:dynamic/prefect:WorkPool"
LIMIT = "pulumi-python:dynamic/prefect:ConcurrencyLimit"
ADDRESS = "https://example.com/hooks/c4nary"
HEARS = ["failed", "crashed", "late", "stuck", "deployment-not-ready", "work-pool-not-ready", "silent"]
CONFIG: dict[str, Any] = {
    "alerts": {"channels": {"ops": {"kind": "webhook", "hears": HEARS}}, "test": True},
    "alertAddresses": json.dumps({"ops": ADDRESS}),
    "variables": {"a": [1]},
    "workPools": {"p": {"description": "ours"}},
    "concurrencyLimits": {"global": {"db": {"limit": 2}}, "tags": {"gpu": 1}},
}


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(flat_config(**CONFIG))


def test_each_channel_and_each_thing_heard_is_a_resource(program: Program) -> None:
    """Names carry channel, kind and what is heard; one automation more is for the test."""
    assert [item.name for item in program.of(BLOCK)] == ["acme-prefect-ops-webhook"]
    assert {item.name for item in program.of(AUTOMATION)} == {f"acme-prefect-ops-{each}" for each in (*HEARS, "test")}
    assert [item.name for item in program.of(VARIABLE)] == ["acme-prefect-variable-a"]
    assert [item.name for item in program.of(POOL)] == ["acme-prefect-work-pool-p"]
    assert {item.name for item in program.of(LIMIT)} == {"acme-prefect-limit-db", "acme-prefect-tag-limit-gpu"}


def test_nothing_of_it_is_there_where_nothing_is_stated() -> None:
    """No component; the stack's own key stays, with which is removed what was stated until now."""
    plain = run_program(flat_config())
    assert not plain.of(type_tokens.ALERTS)
    assert not plain.of(type_tokens.SERVER_OBJECTS)
    assert plain.exports["keyNames"] == ["admin", "github", "orchestrator", "pulumi", "verify"]


def test_key_and_address_are_secret_everywhere(program: Program) -> None:
    """Inputs and outputs alike, the Command's environment and triggers too."""
    for item in program.resources:
        # PublishedKeys is no object of Prefect's: it is let in by its signature (test_keys_graph.py).
        if ":dynamic/prefect:" in item.kind and not item.kind.endswith("PublishedKeys"):
            assert "credential" in item.secret
            assert "credential" in item.options["additional_secret_outputs"]
            assert item.options["delete_before_replace"] is True
    assert "data" in program.of(BLOCK)[0].secret
    command = program.one(COMMAND, "acme-prefect-ops-test")
    assert command.inputs["environment"]["PREFECT_FLY_SERVER_KEY"].startswith("pulumi:pf_")
    assert "environment.PREFECT_FLY_SERVER_KEY" in command.secret
    for item in program.resources:
        if item.kind != BLOCK:
            assert "c4nary" not in json.dumps(item.inputs), item.name


def test_the_order_is_server_then_alerts_and_objects_then_the_orchestrator(program: Program) -> None:
    """A test comes after its automation. On destroy alerts wait for nobody, and a pool goes when its user let go."""
    verified = program.one(COMMAND, "acme-prefect-verify")
    block = program.of(BLOCK)[0]
    for automation in program.of(AUTOMATION):
        ordered(program, program.of(APP)[0], verified, block, automation)
    ordered(program, program.one(AUTOMATION, "acme-prefect-ops-test"), program.one(COMMAND, "acme-prefect-ops-test"))
    bookend = program.one(COMMAND, "acme-orchestrator-detach")
    for item in (*program.of(VARIABLE), *program.of(POOL), *program.of(LIMIT)):
        ordered(program, verified, item, bookend)
    assert not program.before(bookend) & {item.urn for item in program.of(AUTOMATION)}


def test_the_test_runs_again_for_another_address_and_for_nothing_else(program: Program) -> None:
    """Its only trigger is a fingerprint that a preview knows; what else changes is a silent update."""
    command = program.one(COMMAND, "acme-prefect-ops-test")
    other = run_program(flat_config(**{**CONFIG, "alertAddresses": json.dumps({"ops": f"{ADDRESS}2"})}))
    quiet = run_program(flat_config(**CONFIG, keys={"current": 2, "accepted": [2]}))
    triggers = {item.one(COMMAND, "acme-prefect-ops-test").inputs["triggers"][0] for item in (program, quiet)}
    assert len(triggers) == 1
    assert other.one(COMMAND, "acme-prefect-ops-test").inputs["triggers"][0] not in triggers
    assert command.inputs["update"] == ":"


def test_what_can_carry_the_mark_carries_it(program: Program) -> None:
    """A block in its name, an automation and a pool in the description, a variable in a tag."""
    owner = program.of(BLOCK)[0].inputs["owner"]
    mark = f"prefect-fly-{owner}"
    assert program.of(BLOCK)[0].inputs["name"] == f"{mark}-ops-webhook"
    assert all(mark in item.inputs["description"] for item in (*program.of(AUTOMATION), *program.of(POOL)))
    assert program.of(VARIABLE)[0].inputs["tags"] == [mark]
    assert {item.inputs["name"] for item in program.of(AUTOMATION)} >= {"ops: flow run failed (dev)"}


def test_prefect_cloud_gets_the_same_with_its_own_key_under_the_workspaces_name() -> None:
    """Another workspace is other resources; no server is waited for."""
    cloud = run_program(flat_config(**CONFIG, **CLOUD))
    assert [item.name for item in cloud.of(BLOCK)] == ["w-ops-webhook"]
    inputs = cloud.of(BLOCK)[0].inputs
    assert (inputs["api_url"], inputs["credential"]) == (CLOUD["cloud"]["apiUrl"], "pnu_secret")  # type: ignore[index]
    assert len(cloud.of(AUTOMATION)) == len(HEARS) + 1


def test_a_name_of_ones_own_is_for_people_and_the_apps_address_for_the_program() -> None:
    """Links use the name; the program reaches the server before the name is usable, and after it is gone."""
    program = run_program(flat_config(**CONFIG, fly={"domain": "prefect.example.com", "useDomain": True}))
    failed = program.one(AUTOMATION, "acme-prefect-ops-failed").inputs
    assert failed["api_url"] == "https://acme-prefect.fly.dev/api"
    assert "https://prefect.example.com/runs/flow-run/" in failed["body"]
