"""Fly keeps copies of a service's checks for its own deployments, which lag; nobody waits for them."""

from __future__ import annotations

import pytest

from sandbox.testing import Sandbox
from tests.support.fly_machines import engine, inputs, machines
from tests.support.fly_world import ORG, client_of

MIRROR = "bg_deployments_compat-"


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)
    sandbox.fly.options.mirrored_checks = True


def test_a_machine_is_healthy_while_the_copy_of_its_check_is_not(sandbox: Sandbox) -> None:
    """Create returns when the config's own check passes; its copy exists and says something else."""
    made = engine().create(inputs())
    (machine,) = machines(sandbox)
    checks = {check.name: check.status for check in machine.checks.values()}
    (own,) = (name for name in checks if not name.startswith(MIRROR))
    assert (checks[own], checks[MIRROR + own]) == ("passing", "critical")
    assert made.refresh()
    assert made.outputs["drifted"] == []
