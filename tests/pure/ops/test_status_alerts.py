"""The part of `status` about alerts, against Prefect's API in memory."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
import requests

from clients.endpoints import World
from clients.prefect_api.client import PrefectApi
from components.server_access import ServerAccess
from ops import status_parts
from ops.status_stack import StatedStack
from tests.support.fake_prefect import FakePrefect
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock, refused

if TYPE_CHECKING:
    import pulumi

MARK = "prefect-fly-0123456789ab"
STACK = StatedStack(
    name="acme/prefect-fly/dev",
    world=World.SANDBOX,
    mode="cloud",
    cloud_url="http://127.0.0.1:4200/api",
    server_app="",
    server_url="",
    orchestrator_app="app",
    health_url="http://127.0.0.1:4201/health",
    connected=True,
    redeploy="machines",
    repository="",
    workflow="",
    ref="main",
    domain="",
    reach="",
    monitor_url="",
    channels={"ops": "webhook", "duty": "pagerduty"},
    alerts=("ops: flow run failed (dev)", "ops: test message (dev)", "duty: orchestrator silent (dev)"),
)
KEY = {"PREFECT_FLY_SERVER_KEY": "pnu_of-this-test"}


def description(stack: str) -> str:
    access = ServerAccess(
        world=World.SANDBOX,
        owner=MARK.rpartition("-")[2],
        stack=stack,
        api_url="",
        ui_url="",
        credential=cast("pulumi.Output[str]", ""),  # an Output wants a running program
    )
    return access.description


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> FakePrefect:
    """A server with everything that the stack states, something of another stack and something made by hand."""
    made = FakePrefect()
    for name in STACK.alerts:
        made.put("automations", name=name, enabled=True, description=description("dev"))
    made.put("automations", name="ops: flow run failed (prod)", enabled=False, description=description("prod"))
    made.put("automations", name="mine", enabled=False, description="")
    for channel, kind in STACK.channels.items():
        made.put("block_documents", name=f"{MARK}-{channel}-{kind}")
    at = PrefectApi.at
    monkeypatch.setattr(PrefectApi, "at", lambda url, key, world: at(url, key, world, made))
    monkeypatch.setattr(status_parts, "AROUND", {})
    return made


def look(stack: StatedStack = STACK, environ: dict[str, str] = KEY) -> dict[str, Any]:
    report = status_parts.look(stack, Surroundings(FakeClock(), environ).rt)
    parts = {part["part"]: part for part in json.loads(report.to_json())["parts"]}
    return dict(parts.get("alerts") or {})


def named(server: FakePrefect, kind: str, name: str) -> dict[str, Any]:
    return next(each for each in server.objects[kind].values() if each["name"] == name)


def test_what_the_stack_states_is_there(server: FakePrefect) -> None:
    """Channels and alerts are counted, people's own only by number; nothing is asked when the stack states none."""
    found = look()
    assert (found["state"], found["text"]) == ("ok", "2 channels, 3 alerts as stated; 1 made by hand")
    assert (found["alerts_missing"], found["alerts_disabled"], found["channels_missing"]) == ([], [], [])
    assert {method for method, path in server.sent if not path.endswith("/filter")} == set()
    server.sent.clear()
    assert look(replace(STACK, channels={}, alerts=())) == {}
    assert server.sent == []


def test_what_is_missing_or_switched_off_is_named(server: FakePrefect) -> None:
    """A removed automation, one of that name without our mark, a switched-off one and a removed block."""
    named(server, "automations", STACK.alerts[0])["description"] = "somebody's"
    named(server, "automations", STACK.alerts[1])["enabled"] = False
    del server.objects["automations"][named(server, "automations", STACK.alerts[2])["id"]]
    del server.objects["block_documents"][named(server, "block_documents", f"{MARK}-duty-pagerduty")["id"]]
    found = look()
    assert found["state"] == "problem"
    assert found["alerts_missing"] == [STACK.alerts[0], STACK.alerts[2]]
    assert (found["alerts_disabled"], found["channels_missing"], found["by_hand"]) == ([STACK.alerts[1]], ["duty"], 2)
    assert "without a block: duty; missing: ops: flow run failed (dev), duty: orchestrator" in found["text"]
    assert found["text"].endswith("; switched off: ops: test message (dev); pulumi up --refresh; 2 made by hand")


@pytest.mark.parametrize(
    ("environ", "fault", "text"),
    [
        ({}, None, 'could not ask Prefect Cloud for the alerts: variable "PREFECT_FLY_SERVER_KEY" is not set. export '),
        (KEY, refused(), "could not list the automations: "),
    ],
)
def test_a_server_that_cannot_be_asked_is_one_sentence(
    server: FakePrefect, environ: dict[str, str], fault: requests.Response | Exception | None, text: str
) -> None:
    """The line says why and what to do, and is not well."""
    server.fault = fault
    found = look(environ=environ)
    assert found["state"] == "unknown"
    assert found["text"].startswith(text)
