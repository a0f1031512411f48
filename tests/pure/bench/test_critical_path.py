"""The longest chain of an update, which bench/up.py compares `up` with."""

from __future__ import annotations

from typing import Any

import pytest

from bench.critical_path import longest, steps

APP, ADDRESS, SECRETS, MACHINE = (f"urn::{name}" for name in ("app", "address", "secrets", "machine"))


def resource(urn: str, kind: str, *before: str) -> dict[str, Any]:
    return {"urn": urn, "type": f"pulumi-python:dynamic/fly:{kind}", "dependencies": list(before)}


def event(kind: str, urn: str, operation: str = "create") -> dict[str, Any]:
    return {kind: {"metadata": {"op": operation, "urn": urn}}}


def spans(**of: tuple[float, float]) -> list[tuple[float, dict[str, Any]]]:
    """The engine's events for steps from and to these times."""
    began = [(span[0], event("resourcePreEvent", f"urn::{name}")) for name, span in of.items()]
    return began + [(span[1], event("resOutputsEvent", f"urn::{name}")) for name, span in of.items()]


def call(at: float, path: str) -> dict[str, Any]:
    return {"time": at, "service": "fly", "method": "POST", "path": path, "status": 200}


RESOURCES = [
    resource(APP, "App"),
    resource(ADDRESS, "IpAddress", APP),
    resource(SECRETS, "Secrets", APP),
    resource(MACHINE, "Machine", ADDRESS, SECRETS),
    {"urn": "urn::stack", "type": "pulumi:pulumi:Stack"},
]
EVENTS = [
    *spans(app=(0, 2), address=(2, 3), secrets=(2, 6), machine=(6, 16), stack=(0, 20)),
    (30.0, event("resourcePreEvent", APP, "delete")),
]


def test_the_chain_leads_through_the_slowest_of_what_a_step_waits_for() -> None:
    """The app, then the secrets and not the quicker address, then the machine; components have no time of their own."""
    found = steps(EVENTS, RESOURCES, [])
    chain = longest(found, {urn: step.seconds for urn, step in found.items()})
    assert [step.name for step in chain] == ["fly:App app", "fly:Secrets secrets", "fly:Machine machine"]
    assert sum(step.seconds for step in chain) == 2 + 4 + 10


def test_a_step_has_its_own_calls_and_not_those_of_its_neighbours() -> None:
    """By kind of path and by time: the address's call lies in the secrets' time, the last one in nobody's."""
    journal = [
        call(2.5, "/v1/apps/shop/ip_assignments"),
        call(3.0, "/v1/apps/shop/secrets"),
        call(5.0, "/v1/apps/shop/secrets"),
        call(7.0, "/v1/apps/shop/secrets"),
    ]
    found = steps(EVENTS, RESOURCES, journal, delay=0.25)
    assert (found[SECRETS].first, found[SECRETS].last) == (2.75, 5.0)
    assert found[SECRETS].of_calls == pytest.approx(2.25)
    assert "0.75 before its first call, 1.00 after its last" in str(found[SECRETS])
    assert found[ADDRESS].of_calls == pytest.approx(0.25)
    assert found[MACHINE].of_calls == found[MACHINE].seconds
