"""Keys and logins that change on a server that is up: no machine is touched, and `up` proves what it changed."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clients.sessions import new_session
from sandbox import captionacc
from tests.engine.program.conftest import Deployment
from tests.engine.program.test_previews import kind_of, steps
from tests.support.beside import beside

pytestmark = pytest.mark.engine

# What a change of keys alone changes.
OURS = {"credentials:ApiKey", "credentials:KeyRing", "fly:Secrets", "prefect:PublishedKeys", "verify-server"}
CONSUMERS = {"actionsSecret:ActionsSecret", "redeploy", "verify"}


def instances(deployment: Deployment) -> dict[str, str]:
    """The version of each of the server's machines."""
    machines = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines
    return {machine.id: machine.instance_id for machine in machines}


def status(deployment: Deployment, login: str) -> int:
    """Ask the server for something with `name:key`."""
    url = f"{deployment.sandbox.edge_url(captionacc.SERVER)}/api/flows/filter"
    # Ours reads no variables here: they come and go with the program that runs beside this.
    with new_session(url) as session:
        headers = {"Authorization": f"Bearer {login.partition(':')[2]}"}
        return session.post(url, json={}, headers=headers, timeout=600).status_code


@pytest.mark.long
def test_logins_and_keys_change_on_machines_that_stay(deployment: Deployment) -> None:
    """A login comes, all keys rotate, the login goes: the same versions of all machines, each step proved by `up`."""
    machines = {"vm": {"replicas": 2}, "services": {"separate": True}}
    redis = {"prefect-fly:redisUrl": "rediss://:p@127.0.0.1:6379"}

    def configure(**groups: Any) -> None:
        deployment.configure(**machines, **groups)
        deployment.engine.set(redis)

    configure()
    deployment.engine.up()
    before = instances(deployment)
    assert len(before) == 3
    first = deployment.engine.outputs()["uiLogin"]

    deployment.engine.set({"prefect-fly:logins": ["admin", "jo"]})
    shown = steps(deployment.engine.preview)
    assert {kind_of(urn) for urn in shown} == OURS | {"verify"}
    assert shown == steps(deployment.engine.up)
    jo = deployment.engine.outputs()["uiLoginKeys"]["jo"]
    assert [status(deployment, login) for login in (first, jo)] == [200, 200]
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}

    configure(keys={"current": 2, "accepted": [1, 2]})
    shown = steps(deployment.engine.preview)
    assert {kind_of(urn) for urn in shown} == OURS | CONSUMERS
    assert shown == steps(deployment.engine.up)
    configure(keys={"current": 2, "accepted": [2]})
    deployment.engine.set({"prefect-fly:logins": ["admin"]})
    deployment.engine.up()
    assert [status(deployment, login) for login in (first, jo)] == [401, 401]
    assert status(deployment, deployment.engine.outputs()["uiLogin"]) == 200
    assert deployment.prefect_health() == "healthy"
    assert instances(deployment) == before
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}
    deployment.engine.destroy()
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]


def test_a_machine_that_is_updated_later_starts_with_the_newest_keys(deployment: Deployment) -> None:
    """The app's secrets hold them, so that a size changed after a rotation, or one together with it, loses nothing."""
    deployment.engine.up()
    deployment.configure(keys={"current": 2, "accepted": [2]})
    deployment.engine.up()
    deployment.configure(keys={"current": 3, "accepted": [3]}, vm={"memoryMb": 512})
    deployment.engine.up()
    machine = deployment.sandbox.fly.state.apps[captionacc.SERVER].live_machines[0]
    assert machine.config["guest"]["memory_mb"] == 512
    assert '"orchestrator.3"' in machine.secrets["PREFECT_FLY_API_KEYS"]
    assert status(deployment, deployment.engine.outputs()["uiLogin"]) == 200
    assert deployment.engine.preview(expect_no_changes=True) == {}


@pytest.mark.long
def test_keys_that_a_server_lost_are_seen_by_a_refresh(deployment: Deployment, tmp_path: Path) -> None:
    """A database of before, put in place while no machine ran: the refresh sees it, `up` gives the keys back."""
    deployment.engine.up()
    deployment.engine.set({"prefect-fly:logins": ["admin", "jo"]})
    deployment.engine.up()
    jo = deployment.engine.outputs()["uiLoginKeys"]["jo"]
    [table] = tmp_path.glob("**/keys-*.json")
    table.unlink()
    assert status(deployment, jo) == 401
    assert deployment.engine.preview(refresh=True)["update"] >= 1
    deployment.engine.up(refresh=True)
    assert status(deployment, jo) == 200
    assert deployment.engine.preview(expect_no_changes=True, refresh=True) == {}


def test_nobody_is_refused_while_all_keys_rotate(deployment: Deployment) -> None:
    """Requests with a login, one after the other, while new keys come and are handed out: every one is answered."""
    deployment.engine.up()
    login = deployment.engine.outputs()["uiLogin"]
    seen: Counter[int] = Counter()

    def ask(over: threading.Event) -> None:
        while not over.is_set():
            seen[status(deployment, login)] += 1
            over.wait(0.1)

    with beside(ask):
        deployment.configure(keys={"current": 2, "accepted": [1, 2]})
        deployment.engine.up()
    assert seen.keys() == {200}
