"""What the program registers for an orchestrator whose Prefect client is older than 3.6.14."""

from __future__ import annotations

import json

import pytest

from tests.pure.components.test_graph import CLOUD, GITHUB_SECRET, SECRETS
from tests.support.recording import run_program
from tests.support.stack_config import flat_config


@pytest.mark.parametrize("version", ["3.4.10", "3.4.25", "3.6.13"])
def test_an_older_client_gets_its_key_as_a_header_too(version: str) -> None:
    """The fourth secret reaches both consumers, each with its own key; it holds the key as PREFECT_API_KEY does."""
    program = run_program(flat_config(orchestrator={"clientVersion": version}))
    ours = program.one(SECRETS, "acme-orchestrator").inputs["values"]
    theirs = {item.inputs["secretName"]: item.inputs["value"] for item in program.of(GITHUB_SECRET)}
    for values in (ours, theirs):
        header = json.loads(values["PREFECT_CLIENT_CUSTOM_HEADERS"])
        assert header == {"Authorization": f"Bearer {values['PREFECT_API_KEY']}"}


@pytest.mark.parametrize("version", [None, "3.6.14", "3.8.8"])
def test_a_newer_client_gets_no_header(version: str | None) -> None:
    """With no stated version, or one that does not need it, exactly the same is registered."""
    other, program = run_program(flat_config(orchestrator={"clientVersion": version})), run_program(flat_config())
    assert {item.urn for item in other.resources} == {item.urn for item in program.resources}
    ours = other.one(SECRETS, "acme-orchestrator").inputs
    assert "PREFECT_CLIENT_CUSTOM_HEADERS" not in ours["values"]
    assert ours["absent"] == []


def test_cloud_gets_no_header_of_an_older_client() -> None:
    """It would send the old server's key to Prefect Cloud, and win over the new one."""
    cloud = run_program(flat_config(**CLOUD, orchestrator={"clientVersion": "3.4.25"}))
    assert "PREFECT_CLIENT_CUSTOM_HEADERS" not in cloud.one(SECRETS, "acme-orchestrator").inputs["values"]
    assert not [item for item in cloud.of(GITHUB_SECRET) if "CUSTOM_HEADERS" in item.name]
