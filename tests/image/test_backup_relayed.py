"""Backup and restore through a one-off machine: the image's own relay in it, a real Postgres behind it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from clients.endpoints import World
from clients.fly import FlyClient
from ops import __main__ as program
from ops import backup, restore_file
from ops.backup_database import connected
from ops.database_access import DatabaseAccess
from ops.errors import OpsError
from ops.relay_machine import relayed
from ops.runtime import Progress, Runtime
from ops.status_stack import StatedStack
from sandbox.fly.models import Machine
from sandbox.postgres import PostgresServer
from sandbox.testing import Sandbox
from tests.image.test_backup import access_of, save
from tests.support.fly_world import FastClock, client_of, fast_timing
from tests.support.older_schema import digests
from tests.support.server_app import APP, app_with_a_server
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.prefect


@dataclass
class Place:
    """An app with a server in a sandbox, and what Fly holds of it."""

    sandbox: Sandbox
    fly: FlyClient

    @property
    def machines(self) -> list[Machine]:
        """The app's machines that are not gone."""
        return self.sandbox.fly.state.apps[APP].live_machines

    @property
    def relays(self) -> list[Machine]:
        """All relays that there were, gone or not."""
        return [each for each in self.sandbox.fly.state.apps[APP].machines.values() if each.name.startswith("relay-")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A server of one machine, on a clock that is ten times as fast."""
    with app_with_a_server(tmp_path / "sandbox", clock=FastClock()) as running:
        monkeypatch.setattr("clients.fly.client.Timing", fast_timing)
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        running.fly.set_secrets(APP, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql://u:hunter2@db/x"})
        yield Place(running, client_of(running))


@pytest.fixture
def access(postgres: PostgresServer, older: str) -> DatabaseAccess:
    """A database with some history; its certificate is verified."""
    return access_of(postgres, older)


@pytest.fixture
def verb(place: Place, access: DatabaseAccess, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Run a verb as a person does, for a stack whose server is that app's; return the exit code and what it said."""
    stack: dict[str, Any] = dict.fromkeys(StatedStack.__dataclass_fields__, "")
    stack |= {"name": "prod", "world": World.SANDBOX, "server_app": APP}
    monkeypatch.setattr(StatedStack, "named", lambda _name: StatedStack(**stack))
    monkeypatch.setattr(backup, "database_of", lambda *_: access)
    monkeypatch.setattr(restore_file, "database_of", lambda *_: access)
    monkeypatch.setattr(
        program, "runtime", lambda world: Runtime(world=world, progress=Progress(), environ=dict(os.environ))
    )

    def run(*argv: str) -> tuple[int, str]:
        code = program.main(argv)
        written = capsys.readouterr()
        return code, written.err + written.out

    return run


def test_there_and_back(
    place: Place, access: DatabaseAccess, postgres: PostgresServer, verb: Any, tmp_path: Path
) -> None:
    """Every row is saved and put back as it was, also when answers get lost or are cut; the machines are gone."""
    file, rows = tmp_path / "prefect.backup", digests(postgres, access.name, "prefect")
    cut = {"exit_code": 0, "stdout": '{"offset": 0, "data": "UW'}
    for skip in (20, 80):
        place.sandbox.faults("fly").add("POST", "/exec$", skip=skip, drop_answer=True)
        place.sandbox.faults("fly").add("POST", "/exec$", skip=skip + 5, status=200, body=cut)
    code, said = verb("backup", "prod", str(file), "--reach", "machine")
    assert code == 0, said
    postgres.execute("SET search_path = prefect; TRUNCATE flow, flow_run, flow_run_state, log CASCADE", access.name)
    code, said = verb("restore", "prod", str(file), "--reach", "machine")
    assert code == 0, said
    assert digests(postgres, access.name, "prefect") == rows
    assert [machine.name for machine in place.machines] == [f"{APP}-1"]
    assert "trying again with 128 KB" in said
    # It has no secret and serves nothing.
    assert [(relay.secrets, relay.services, relay.state) for relay in place.relays] == [({}, [], "destroyed")] * 2
    environ = place.relays[0].config["env"]
    assert {name for name in environ if name.startswith("PREFECT")} == {
        "PREFECT_FLY_RELAY_HOST",
        "PREFECT_FLY_RELAY_PORT",
        "PREFECT_FLY_RELAY_IDLE",
    }
    assert access.password not in str(place.relays[0].config)


def test_the_certificate_is_checked_by_the_databases_own_name(
    place: Place, access: DatabaseAccess, tmp_path: Path
) -> None:
    """The connection leads to this machine's loopback, and yet a name that the certificate lacks is refused."""
    # The same address as 127.0.0.1, which the certificate names.
    with relayed(place.fly, APP, replace(access, host="127.1")) as reached, pytest.raises(OpsError) as raised:
        save(reached, tmp_path / "x")
    assert "certificate is not valid for '127.1'" in str(raised.value)


def test_without_an_authority(place: Place, access: DatabaseAccess) -> None:
    """As directly: the session is encrypted where the database offers it, and whose certificate it is stays open."""

    async def encrypted(reached: DatabaseAccess) -> object:
        async with connected(reached) as connection:
            return await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

    with relayed(place.fly, APP, replace(access, host="127.1", ca="")) as reached:
        assert asyncio.run(encrypted(reached)) is True
        assert asyncio.run(encrypted(replace(reached, tls=False))) is True


def test_a_database_that_does_not_answer_there(place: Place, access: DatabaseAccess, tmp_path: Path) -> None:
    """Name, port and cause are told as that machine sees them; neither file nor machine stays."""
    with pytest.raises(OpsError) as raised, relayed(place.fly, APP, replace(access, port=9)) as reached:
        save(reached, tmp_path / "x")
    (relay,) = place.relays
    told = f'could not reach database "{access.name}" at 127.0.0.1:9 from machine {relay.id} of app "{APP}": '
    assert str(raised.value).startswith(told)
    assert "Connect call failed" in str(raised.value)
    assert not (tmp_path / "x").exists()
    assert relay.state == "destroyed"


def test_a_relay_that_vanishes(place: Place, access: DatabaseAccess, tmp_path: Path) -> None:
    """When the machine is taken away in between, the sentence says that, and not what the driver saw."""
    with relayed(place.fly, APP, access) as reached:
        place.fly.machines.destroy(APP, place.fly.machines.get(APP, place.relays[0].id))
        with pytest.raises(OpsError) as raised:
            save(reached, tmp_path / "x")
    assert "the relay has ended" in str(raised.value)


_KILLED = """
import signal, sys
from clients.endpoints import World
from clients.fly import FlyClient
from ops import relay_machine
from ops.database_access import DatabaseAccess
relay_machine.IDLE = relay_machine.STOP_WITHIN = 1.0
access = DatabaseAccess(host="127.0.0.1", port=9, user="", password="", name="", tls=False, ca="", schema="")
with relay_machine.relayed(FlyClient.from_environment(World.SANDBOX), sys.argv[1], access):
    print("ready", flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_whoever_asked_is_gone(place: Place, number: signal.Signals) -> None:
    """After ^C the machine is removed at once; after a kill it ends by itself, since nobody asks any more."""
    argv = [sys.executable, "-c", _KILLED, APP]
    root = Path(__file__).parents[2]
    with subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as caller:
        assert caller.stdout
        assert caller.stdout.readline() == b"ready\n"
        assert [machine.state for machine in place.relays] == ["started"]
        caller.send_signal(number)
        caller.wait(PATIENCE)
        if number == signal.SIGINT:
            assert place.relays[0].state == "destroyed"
    until(lambda: place.relays[0].state == "destroyed")
    ended = place.fly.machines.get(APP, place.relays[0].id).last_exit()
    assert ended
    assert ended.requested_stop is (number == signal.SIGINT)
