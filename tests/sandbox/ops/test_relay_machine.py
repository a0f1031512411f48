"""The machine that a backup goes through: how it is made, and each way in which it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.endpoints import World
from clients.fly.model import MachineRequest
from clients.fly.operations.one_off import OneOffRequest
from ops import relay_machine
from ops.database_access import DatabaseAccess
from ops.errors import OpsError
from ops.reaching import DIRECT, MACHINE
from ops.relay_machine import reaching, relayed
from ops.runtime import Progress, Runtime
from ops.server_machines import server_machines
from sandbox.testing import Sandbox
from tests.support.fly_world import IMAGE, ORG, OWNER, client_of, config, sandboxed
from tests.support.waiting import until

ACCESS = DatabaseAccess(host="db.flycast", port=5432, user="u", password="p", name="x", tls=True, ca="", schema="s")
MARKS = {"prefect_fly_owner": OWNER, "fly_process_group": "app"}


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    for running in sandboxed(tmp_path, monkeypatch):
        client_of(running).apps.create("shop", ORG)
        yield running


@pytest.fixture
def server(sandbox: Sandbox) -> str:
    """The id of the server's machine."""
    body = MachineRequest(name="shop-1", region="ewr", config=config(metadata=MARKS))
    return client_of(sandbox).machines.create("shop", body).id


def live(sandbox: Sandbox) -> list[str]:
    return [machine.id for machine in sandbox.fly.state.apps["shop"].live_machines]


def refused(sandbox: Sandbox) -> str:
    with pytest.raises(OpsError) as raised, relayed(client_of(sandbox), "shop", ACCESS):
        pass
    return str(raised.value)


def answer_ready(sandbox: Sandbox) -> None:
    """Let commands in machines answer as a relay does when it is asked for a sign."""
    body = {"exit_code": 0, "stdout": '{"ready": true}'}
    sandbox.faults("fly").add("POST", "/exec$", status=200, body=body, times=None)


def test_a_machine_beside_the_server(sandbox: Sandbox, server: str) -> None:
    """It runs the server's image where the server is, knows host and port alone, and is none of its machines."""
    answer_ready(sandbox)
    fly = client_of(sandbox)
    with relayed(fly, "shop", ACCESS) as reached:
        assert reached.relay
        launch = sandbox.emulated.launches[-1]
        assert (launch.machine_id, launch.image, launch.arguments) == (reached.relay.machine.id, IMAGE, ("relay",))
        environ = launch.environment
        assert (environ["PREFECT_FLY_RELAY_HOST"], environ["PREFECT_FLY_RELAY_PORT"]) == ("db.flycast", "5432")
        # 120 s, and 310 for each machine that a restore may have to stop meanwhile.
        assert environ["PREFECT_FLY_RELAY_IDLE"] == "430"
        assert [machine.id for machine in server_machines(fly, "shop")] == [server]
        assert "p" not in environ.values()
    assert live(sandbox) == [server]


def test_leftovers_go_first(sandbox: Sandbox, server: str) -> None:
    """What a killed run left is removed by the next one."""
    answer_ready(sandbox)
    left = OneOffRequest(app="shop", name="relay", image=IMAGE, region="ewr", cmd=["relay"], owner=OWNER)
    body = MachineRequest(name="relay-1", region="ewr", config=left.config())
    old = client_of(sandbox).machines.create("shop", body).id
    with relayed(client_of(sandbox), "shop", ACCESS):
        assert old not in live(sandbox)
    assert live(sandbox) == [server]


def test_no_server(sandbox: Sandbox) -> None:
    """Without a machine there is no image to take."""
    assert 'could not find a machine of app "shop": there is none. Run "pulumi up" first.' in refused(sandbox)


def test_an_image_without_the_verb(sandbox: Sandbox, server: str) -> None:
    """An older image says which verbs it has; people are told what to do."""
    sandbox.emulated.script(arguments=("relay",), exit_code=19, lines=("usage: prefect-server serve | migrate",))
    told = refused(sandbox)
    assert f'{IMAGE} is older than this program and has no relay. Run "pulumi up"' in told
    assert live(sandbox) == [server]


def test_a_relay_that_fails_to_start(sandbox: Sandbox, server: str) -> None:
    """The end of its log is shown."""
    sandbox.emulated.script(arguments=("relay",), exit_code=1, lines=("relay: could not go on: it is odd",))
    told = refused(sandbox)
    assert told.startswith('could not start a relay to the database of app "shop": it failed: could not go on: it is')
    assert live(sandbox) == [server]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_may_not(sandbox: Sandbox, server: str, status: int) -> None:
    """A token without the right to run commands is told as that, with one that has it."""
    sandbox.faults("fly").add("POST", "/exec$", status=status, body={"error": "not allowed"}, times=None)
    told = refused(sandbox)
    assert f"as a relay to the database: not allowed (HTTP {status}). Use a FLY_API_TOKEN that may run" in told
    assert live(sandbox) == [server]


def test_no_answer(sandbox: Sandbox, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose command answers nothing is given up, with what was seen last."""
    monkeypatch.setattr(relay_machine, "_READY_WITHIN", 5.0)
    sandbox.faults("fly").add(
        "POST", "/exec$", status=200, body={"exit_code": 127, "stderr": "no such file"}, times=None
    )
    assert "does not answer within 5 s: exit code 127 and 0 characters of an answer; no such file" in refused(sandbox)
    assert live(sandbox) == [server]


def test_it_ended_meanwhile(sandbox: Sandbox, server: str) -> None:
    """A relay that ended while it was in use is told as that, with its exit code, and is not asked again."""
    answer_ready(sandbox)
    with relayed(client_of(sandbox), "shop", ACCESS) as reached:
        assert reached.relay
        sandbox.faults("fly").clear()
        client_of(sandbox).machines.stop("shop", reached.relay.machine)
        until(lambda: live(sandbox) == [server])
        with pytest.raises(OpsError, match=r"the relay has ended with exit code 0\. Run it again"):
            reached.relay.exchange({"connection": 1})


def test_only_where_it_is_asked_for(sandbox: Sandbox) -> None:
    """A direct way makes no call, and with mode: cloud there is no network to be in."""
    rt = Runtime(world=World.SANDBOX, progress=Progress(), environ=sandbox.env())
    calls = len(sandbox.journal("fly"))
    with reaching(DIRECT, "shop", ACCESS, rt) as reached:
        assert reached is ACCESS
    with pytest.raises(OpsError, match="with mode: cloud the stack has no server of its own"):
        reaching(MACHINE, "", ACCESS, rt)
    assert len(sandbox.journal("fly")) == calls


def test_an_image_that_fly_does_not_name(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """Without a digest nothing is started."""

    def unnamed(_machine: Any) -> str:
        return ""

    monkeypatch.setattr(relay_machine, "image_of", unnamed)
    assert 'Fly does not say which image machine "shop-1" runs. Run "pulumi up"' in refused(sandbox)
    assert live(sandbox) == [server]
