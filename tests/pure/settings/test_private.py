"""A private server in a stack's settings, and what the program makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import settings
from settings import Settings, SettingsError
from tests.support.recording import run_program
from tests.support.stack_config import flat_config

OFF = {"enabled": False}


def parse(tmp_path: Path, fly: dict[str, Any], uptime: dict[str, Any]) -> Settings:
    config = flat_config(fly=fly, uptime=uptime)
    return settings.parse(config, stack="dev", owner="0123456789ab", root=tmp_path)


def test_its_address_is_the_one_inside_the_network(tmp_path: Path) -> None:
    """Plain HTTP at .flycast, and a command that brings it to a person's machine."""
    tree = parse(tmp_path, {"private": True}, OFF)
    assert (tree.server_url, tree.api_url) == ("http://acme-prefect.flycast", "http://acme-prefect.flycast/api")
    assert tree.fly is not None
    assert tree.fly.proxy_command == "fly proxy 4200:80 acme-prefect.flycast -a acme-prefect"
    assert parse(tmp_path, {}, {}).private is False


def test_what_cannot_reach_it_is_refused(tmp_path: Path) -> None:
    """A monitor from outside, and a name that would lead nowhere; both at once, each with its key."""
    with pytest.raises(SettingsError) as caught:
        parse(tmp_path, {"private": True, "domain": "prefect.example.com"}, {})
    assert "uptime.enabled: Better Stack cannot reach a private server: set it to false" in str(caught.value)
    assert "fly.domain: a private server has no public address that a name could lead to" in str(caught.value)


def test_the_program_gives_it_no_public_address_and_github_nothing() -> None:
    """One private address, no redirect to HTTPS, no GitHub secret and no key for one; the way in is an output."""
    program = run_program(flat_config(fly={"private": True}, uptime=OFF))
    addresses = [item.inputs["kind"] for item in program.resources if item.kind.endswith("fly:IpAddress")]
    assert addresses == ["private_v6"]
    machine = program.one("pulumi-python:dynamic/fly:Machine", "acme-prefect-ewr-1")
    assert not any(port.get("force_https") for port in machine.inputs["config"]["services"][0]["ports"])
    assert not [item for item in program.resources if item.kind.startswith("github:")]
    assert program.exports["keyNames"] == ["admin", "orchestrator", "pulumi", "verify"]
    assert program.exports["uiUrl"] == "http://localhost:4200/"
    command = program.exports["proxyCommand"]
    assert any(step.startswith(command) for step in program.exports["nextSteps"])
    assert command in program.exports["readme"]
    assert any("GitHub's runners cannot reach" in step for step in program.exports["nextSteps"])
