from __future__ import annotations

import pytest

from clients.fly.errors import FlyUnhealthyError
from clients.fly.model import MachineRequest
from clients.fly.operations.rollout import update_secrets_in_place
from sandbox.testing import Sandbox
from tests.support.fly_world import ORG, client_of, config
from tests.support.waiting import until

V2 = {"fly_platform_version": "v2", "fly_process_group": "app"}


@pytest.fixture(autouse=True)
def app(sandbox: Sandbox) -> None:
    client_of(sandbox).apps.create("shop", ORG)


def add(sandbox: Sandbox, name: str, metadata: dict[str, str] | None = None, *, skip_launch: bool = False) -> str:
    """Make a machine as fly deploy does, and return its id."""
    made = config(metadata=V2 if metadata is None else metadata)
    request = MachineRequest(name=name, region="ewr", config=made, skip_launch=skip_launch)
    machine = client_of(sandbox).machines.create("shop", request)
    until(lambda: sandbox.fly.state.apps["shop"].machines[machine.id].state in {"started", "stopped"})
    return machine.id


def test_every_app_machine_sees_the_new_secrets_with_the_config_it_has(sandbox: Sandbox) -> None:
    """No version is given, as after somebody else's write: the API is asked, and nobody comes up with old secrets."""
    ids = [add(sandbox, "one"), add(sandbox, "two")]
    machines = sandbox.fly.state.apps["shop"].machines
    before = {machine_id: dict(machines[machine_id].config) for machine_id in ids}
    client = client_of(sandbox)
    client.secrets.write("shop", {"KEY": "fresh"})
    rolled = update_secrets_in_place(client, "shop")
    assert [roll.machine_id for roll in rolled] == ids
    for machine_id in ids:
        assert machines[machine_id].secrets["KEY"] == "fresh"
        assert machines[machine_id].config == before[machine_id]
        assert machines[machine_id].state == "started"
        assert machines[machine_id].lease is None
    assert set(sandbox.fly.state.apps["shop"].secrets) == {"KEY"}


def test_machines_that_flyctl_would_skip_are_skipped(sandbox: Sandbox) -> None:
    """Detached ones and release commands keep what they have."""
    detached = add(sandbox, "detached", {})
    release = add(sandbox, "release", V2 | {"fly_process_group": "fly_app_release_command"})
    client = client_of(sandbox)
    client.secrets.write("shop", {"KEY": "fresh"})
    assert update_secrets_in_place(client, "shop") == ()
    for machine_id in (detached, release):
        assert sandbox.fly.state.apps["shop"].machines[machine_id].secrets == {}


def test_a_stopped_machine_stays_stopped(sandbox: Sandbox) -> None:
    """It gets the secrets for its next start."""
    machine_id = add(sandbox, "one", skip_launch=True)
    client = client_of(sandbox)
    client.secrets.write("shop", {"KEY": "fresh"})
    (rolled,) = update_secrets_in_place(client, "shop")
    assert not rolled.started
    machine = sandbox.fly.state.apps["shop"].machines[machine_id]
    until(lambda: machine.state == "stopped")
    assert machine.secrets == {"KEY": "fresh"}


def test_an_unhealthy_machine_stops_the_rollout(sandbox: Sandbox) -> None:
    """Those after it are not touched, so something goes on serving."""
    first, second = add(sandbox, "one"), add(sandbox, "two")
    sandbox.emulated.script(machine_id=first, environment={"KEY": "bad"}, passing=False, output="cannot log in")
    client = client_of(sandbox)
    client.secrets.write("shop", {"KEY": "bad"})
    with pytest.raises(
        FlyUnhealthyError, match=r'could not update the secrets of machine "one".*cannot log in'
    ) as said:
        update_secrets_in_place(client, "shop", healthy_within=20.0)
    assert "of which KEY changed since it last started" in str(said.value)
    machines = sandbox.fly.state.apps["shop"].machines
    assert machines[second].secrets == {}
    assert machines[first].lease is None


def test_a_lost_answer_does_not_update_twice(sandbox: Sandbox) -> None:
    """The config is the same before and after, so the version tells whether it happened."""
    machine_id = add(sandbox, "one")
    sandbox.faults("fly").add("POST", f"/machines/{machine_id}$", drop_answer=True)
    client = client_of(sandbox)
    client.secrets.write("shop", {"KEY": "fresh"})
    update_secrets_in_place(client, "shop")
    assert len(sandbox.fly.state.apps["shop"].machines[machine_id].versions) == 2
