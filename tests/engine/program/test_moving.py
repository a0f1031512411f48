"""Another size happens in place or beside the old machine; another region is another machine, which comes first."""

from __future__ import annotations

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine


@pytest.mark.long
def test_a_larger_machine_is_the_same_one_and_another_region_is_another_one(deployment: Deployment) -> None:
    """In place: the orchestrator needs no redeploy for either, and the old machine is drained before it goes."""
    deployment.configure(vm={"strategy": "rolling"})
    deployment.engine.up()
    first = deployment.server_machine()
    seen = len(deployment.sandbox.journal())
    deployment.configure(vm={"memoryMb": 512, "strategy": "rolling"})
    deployment.engine.up()
    (larger,) = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines
    assert (larger.id, larger.config["guest"]["memory_mb"]) == (first, 512)

    deployment.configure(vm={"memoryMb": 512, "strategy": "rolling"}, fly={"region": "fra"})
    deployment.fixed()
    (moved,) = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines
    assert (moved.region, moved.name) == ("fra", f"{captionacc.SERVER}-fra-1")
    changes = deployment.changes(seen)
    route = f"fly POST /v1/apps/{captionacc.SERVER}/machines"
    steps = [changes.index(call) for call in (route, f"{route}/{first}/stop")]
    steps.insert(1, max(place for place, call in enumerate(changes) if call == f"{route}/{first}/cordon"))
    steps.append(changes.index(f"fly DELETE /v1/apps/{captionacc.SERVER}/machines/{first}"))
    assert steps == sorted(steps)
    assert not [call for call in changes if call.endswith("/dispatches")]


def test_a_larger_machine_comes_up_beside_the_old_one(deployment: Deployment) -> None:
    """Where nothing is said and the database has connections for two: made first, then the old one goes."""
    deployment.engine.up()
    first, seen = deployment.server_machine(), len(deployment.sandbox.journal())
    deployment.configure(vm={"memoryMb": 512})
    deployment.fixed()
    (larger,) = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines
    assert (larger.id != first, larger.config["guest"]["memory_mb"]) == (True, 512)
    changes, route = deployment.changes(seen), f"fly POST /v1/apps/{captionacc.SERVER}/machines"
    steps = [changes.index(call) for call in (route, f"{route}/{first}/cordon", f"{route}/{first}/stop")]
    steps.append(changes.index(f"fly DELETE /v1/apps/{captionacc.SERVER}/machines/{first}"))
    assert steps == sorted(steps)
    assert not [call for call in changes if call.endswith("/dispatches")]
