"""Two real programs behind the sandbox's edge, in real time: what a rolling update costs those who use the server.

The programs drop what they are doing when they are told to stop (tests/support/tiny_server.py), so that only draining
before the update can save a request.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.fly.addresses import Kind
from providers.fly_machine import FlyMachineProvider
from sandbox.fly import FlyOptions
from sandbox.images import Command
from sandbox.testing import Sandbox, running_sandbox
from tests.support import tiny_server
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import IMAGE, ORG, OWNER, client_of
from tests.support.load import RATE, Load
from tests.support.waiting import until


def load_of(sandbox: Sandbox) -> Load:
    """Ask the shop all the time; answers count by status and text."""
    return Load(sandbox.edge_url("shop"), headers={}, read=lambda answer: f"{answer.status_code} {answer.text}")


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    options = FlyOptions(org=ORG, exact_rate_limits=True)
    with running_sandbox(tmp_path / "sandbox", driver="process", fly=options, postgres=False, filled=False) as running:
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        running.images.register("*shop*", lambda _: Command((sys.executable, str(tiny_server.__file__))))
        yield running


def inputs(name: str, greeting: str) -> dict[str, Any]:
    check = {
        "type": "http",
        "interval": "1s",
        "timeout": "2s",
        "grace_period": "1s",
        "path": "/healthy",
        "method": "GET",
    }
    service = {
        "protocol": "tcp",
        "internal_port": 4200,
        "autostop": "off",
        "ports": [{"port": 443, "handlers": ["http", "tls"]}],
        "checks": [check],
    }
    config = {"image": IMAGE, "env": {"GREETING": greeting}, "services": [service], "restart": {"policy": "always"}}
    known = {"app": "shop", "region": "ewr", "owner": OWNER, "endpoints": "sandbox", "healthy_timeout": 60}
    return known | {"name": name, "config": config}


def test_a_rolling_update_of_two_replicas_loses_no_request(sandbox: Sandbox) -> None:
    """At 20 requests a second through the edge every answer is 200, before, while and after both are updated."""
    client = client_of(sandbox)
    client.apps.create("shop", ORG)
    client.addresses.allocate("shop", Kind.V6)
    names = ("shop-ewr-1", "shop-ewr-2")
    replicas = [EngineSide(FlyMachineProvider).create(inputs(name, "old")) for name in names]
    until(lambda: sandbox.world.fly.edge.is_open("shop"))
    with load_of(sandbox) as load:
        until(lambda: load.answers["200 old"] > RATE)
        for replica, name in zip(replicas, names, strict=True):
            assert replica.up(inputs(name, "new")) == "update"
        seen = load.answers["200 new"]
        until(lambda: load.answers["200 new"] > seen + RATE)
    assert set(load.answers) == {"200 old", "200 new"}


def test_a_version_that_never_gets_healthy_loses_no_request_either(sandbox: Sandbox) -> None:
    """The other replica serves while the new config is tried and put back."""
    client = client_of(sandbox)
    client.apps.create("shop", ORG)
    client.addresses.allocate("shop", Kind.V6)
    replicas = [EngineSide(FlyMachineProvider).create(inputs(name, "old")) for name in ("shop-ewr-1", "shop-ewr-2")]
    until(lambda: sandbox.world.fly.edge.is_open("shop"))
    broken = inputs("shop-ewr-1", "new")
    broken["config"]["services"][0]["internal_port"] = 4201
    with load_of(sandbox) as load:
        until(lambda: load.answers["200 old"] > RATE)
        with pytest.raises(Exception, match="put back and is healthy"):
            replicas[0].up(broken | {"healthy_timeout": 8})
        seen = load.answers["200 old"]
        until(lambda: load.answers["200 old"] > seen + RATE)
    assert set(load.answers) == {"200 old"}
