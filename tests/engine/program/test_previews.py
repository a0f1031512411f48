"""A preview shows exactly what `up` then does: nothing less, and nothing that only might have been."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pulumi.automation import EngineEvent

from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine

# Setting by setting, one after the other on one stack, with the resources that change.
CHANGES: list[tuple[dict[str, dict[str, Any]], set[str]]] = [
    ({"fly": {"adoptExisting": True}, "orchestrator": {"takeOver": True}}, set()),
    ({"vm": {"memoryMb": 512}}, {"fly:Machine", "verify-server", "verify"}),
    ({"uptime": {"intervalSeconds": 300}}, {"betterstack:Monitor"}),
    ({"github": {"workflowInputs": {"reason": "x"}}}, {"detach", "redeploy", "verify"}),
]


def steps(run: Callable[..., object]) -> dict[str, list[str]]:
    """Run `preview` or `up` and return what it does to each resource; providers are left out."""
    found: dict[str, list[str]] = {}

    def take(event: EngineEvent) -> None:
        if event.resource_pre_event:
            step = event.resource_pre_event.metadata
            if str(step.op.value) != "same" and "pulumi:providers" not in step.urn:
                found.setdefault(step.urn, []).append(str(step.op.value))

    run(on_event=take)
    return found


def kind_of(urn: str) -> str:
    """A Command by its verb, every other resource by its type."""
    kind, name = urn.split("::")[2:]
    if not kind.endswith("command:local:Command"):
        return kind.rpartition("/")[2]
    return "verify-server" if name.endswith("prefect-verify") else name.rpartition("-")[2]


def test_a_preview_names_what_up_does_and_nothing_else(deployment: Deployment) -> None:
    """For each setting of the table: the same resources and the same steps in both."""
    deployment.engine.up()
    groups: dict[str, dict[str, Any]] = {}
    for change, expected in CHANGES:
        for group, values in change.items():
            groups[group] = {**groups.get(group, {}), **values}
        deployment.configure(**groups)
        shown = steps(deployment.engine.preview)
        assert {kind_of(urn) for urn in shown} == expected, change
        assert shown == steps(deployment.engine.up), change
