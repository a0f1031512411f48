"""A stack that is up: what looking at it costs, whose tokens suffice, and how an app put to sleep looks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from proof.graph import drawn
from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine
PAGE = Path(__file__).parents[3] / "docs" / "architecture.md"


def test_a_refreshed_up_that_finds_nothing_costs_eleven_calls_at_most(deployment: Deployment) -> None:
    """The default stack, all APIs together; on Fly five and one for each machine. Not one of them changes anything.

    Its graph is the one that docs/architecture.md shows.
    """
    deployment.engine.up()
    seen = len(deployment.sandbox.journal())
    assert deployment.engine.up(refresh=True) == {}
    calls = deployment.sandbox.journal()[seen:]
    services = Counter(call["service"] for call in calls)
    assert services["fly"] <= 5 + 1, calls
    assert services.total() <= 11, calls
    # Here, because it is the default stack; `python -m proof.graph` draws it.
    assert f"```mermaid\n{drawn(deployment.engine.resources())}\n```" in PAGE.read_text(encoding="utf-8")
    # It did look: an up that asks nobody would be cheap as well.
    assert {"fly", "github", "betterstack"} <= set(services)
    assert {(call["method"], call["status"]) for call in calls} == {("GET", 200)}


@pytest.mark.long
def test_deploy_tokens_of_both_apps_suffice_once_the_app_exists(deployment: Deployment) -> None:
    """Joined by a comma, as people join them: refresh, rotation of the keys and the whole rollback go through."""
    deployment.engine.up()
    tokens = [
        deployment.sandbox.fly.state.add_token(captionacc.ORGANISATION, apps=[app]).value
        for app in (captionacc.SERVER, captionacc.ORCHESTRATOR)
    ]
    deployment.engine.environment(FLY_API_TOKEN=f"FlyV1 {','.join(tokens)}")
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}
    deployment.configure(keys={"current": 2, "accepted": [2]})
    deployment.engine.up(refresh=True)
    assert deployment.prefect_health() == "healthy"
    deployment.engine.destroy()
    assert deployment.prefect_health() == "not_configured"
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    assert not {call["status"] for call in deployment.sandbox.journal("fly")} & {401, 403}


@pytest.mark.long
def test_an_app_that_was_put_to_sleep_is_named_and_comes_back(deployment: Deployment) -> None:
    """All machines stopped by hand, so that Fly calls it suspended: two named drifts, a start, no new version."""
    deployment.engine.up()
    machine = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines[0]
    version = machine.instance_id
    stopped = deployment.stop(captionacc.SERVER)
    assert stopped == [machine.id]
    seen = len(deployment.engine.text())
    assert deployment.engine.preview(refresh=True, diff=True)["update"] == 2
    named = deployment.engine.text()[seen:]
    assert "status: suspended" in named
    assert "state: stopped" in named
    deployment.engine.up(refresh=True)
    assert (machine.state, machine.instance_id) == ("started", version)
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}
    assert deployment.prefect_health() == "healthy"
