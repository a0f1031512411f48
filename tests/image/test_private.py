"""A private server is verified from inside: the real probe, beside the real gate and the real Prefect."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clients.endpoints import World
from clients.fly import FlyClient
from clients.fly.machines import Execution
from clients.fly.model import Machine
from clients.fly.operations.inside import PROBE, InsideSession
from clients.prefect import Credential, PrefectClient
from ops.verify_server import look
from tests.image.conftest import KEYS
from tests.support.prefect_server import SOURCE, Program, plain_environment
from toolchain.prefect_env import prefect_python

pytestmark = pytest.mark.prefect


def test_everything_is_seen_through_the_probe(server: Program, tmp_path: Path) -> None:
    """Ready, closed to strangers, the key in both forms, the UI's page and the keys' use; a wrong key is told apart."""

    def run(_app: str, _machine: Machine, command: tuple[str, ...], *, stdin: str, seconds: int) -> Execution:
        assert command == PROBE
        argv = [str(prefect_python()), *command[1:]]
        done = subprocess.run(
            argv, cwd=SOURCE, env=plain_environment(tmp_path), input=stdin, capture_output=True, text=True, check=False
        )
        assert seconds
        return Execution(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    serving: dict[str, Any] = {"id": "a1", "state": "started", "config": {"services": [{}]}}
    machines = SimpleNamespace(list=lambda _app: [Machine.from_wire(serving)], run=run)
    inside = InsideSession(cast("FlyClient", SimpleNamespace(machines=machines)), "acme-prefect")
    client = PrefectClient.at(server.url, World.SANDBOX, inside)
    admin, stranger = Credential(name="admin", key=KEYS["admin"]), Credential(name="nobody", key="no")
    assert look(client, admin, "acme-prefect") == ""
    assert client.key_use(admin)["admin"].accepted > 0
    assert 'key "nobody" as Basic is answered HTTP 401' in look(client, stranger, "acme-prefect")
