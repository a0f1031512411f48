"""`up --replace`: create adopts what has our marks, so the old object must be gone before the new one is made."""

from __future__ import annotations

import pytest

from clients.names import marker_of
from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = [pytest.mark.engine, pytest.mark.long]


def urns(deployment: Deployment, kind: str = "") -> list[str]:
    """URNs of our dynamic resources, or of those of one kind."""
    own = [item["urn"] for item in deployment.engine.resources() if "pulumi-python:dynamic" in item["type"]]
    return [urn for urn in own if urn.split("::")[2].endswith(kind)]


def one_of_each(deployment: Deployment) -> None:
    """Fail unless there is exactly one live object of each kind, wired and quiet."""
    app = deployment.sandbox.fly.state.apps[captionacc.SERVER]
    assert [machine.state for machine in app.live_machines] == ["started"]
    assert sorted(address.kind for address in app.addresses) == ["shared_v4", "v6"]
    assert len(deployment.sandbox.better_stack.monitors) == 1
    # The server's app has two sets of secrets: the keys come and go without the others.
    for name, sets in ((captionacc.SERVER, 2), (captionacc.ORCHESTRATOR, 1)):
        markers = [secret for secret in deployment.secret_names(name) if secret.startswith(marker_of(""))]
        assert len(markers) == sets
    assert deployment.ours <= deployment.secret_names(captionacc.ORCHESTRATOR)
    assert deployment.prefect_health() == "healthy"
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}


def test_replacing_the_app_makes_everything_in_it_again(deployment: Deployment) -> None:
    """Addresses, secrets and machine go with the app and come back with it; the orchestrator stays wired."""
    deployment.engine.up()
    app = deployment.sandbox.fly.state.apps[captionacc.SERVER]
    before, machine = app.id, deployment.server_machine()
    deployment.engine.up(replace=urns(deployment, "fly:App"))
    assert deployment.sandbox.fly.state.apps[captionacc.SERVER].id != before
    assert deployment.server_machine() != machine
    one_of_each(deployment)
    deployment.engine.destroy()
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]


def test_replacing_everything_else_at_once_leaves_exactly_one_object_of_each(deployment: Deployment) -> None:
    """Addresses, both sets of secrets, machine, monitor and every key in one `up`; the app stays."""
    deployment.engine.up()
    app = deployment.sandbox.fly.state.apps[captionacc.SERVER]
    others = sorted(set(urns(deployment)) - set(urns(deployment, "fly:App")))
    kinds = {urn.split("::")[2].rpartition("/")[2] for urn in others}
    fly = {"fly:IpAddress", "fly:Secrets", "fly:Machine"}
    keys = {"credentials:ApiKey", "credentials:KeyRing", "prefect:PublishedKeys"}
    assert kinds == fly | keys | {"betterstack:Monitor"}
    deployment.engine.up(replace=others)
    assert deployment.sandbox.fly.state.apps[captionacc.SERVER] is app
    one_of_each(deployment)
