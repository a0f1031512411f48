"""What a deployment leaves and takes away: history stays, a revoked key goes, SIGTERM ends the server in time."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from tests.image.conftest import KEYS
from tests.support.prefect_server import (
    Program,
    database_environment,
    hashed,
    plain_environment,
    result_of,
    run_client,
    running,
)

pytestmark = pytest.mark.prefect

CLIENTS = Path(__file__).parent / "clients"


def flows(program: Program, name: str) -> requests.Response:
    """Ask for all flows with a name's key."""
    headers = {"Authorization": f"Bearer {KEYS[name]}"}
    return requests.post(f"{program.api_url}/flows/filter", json={}, headers=headers, timeout=600)


def test_restart_with_a_revoked_key(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """After a restart without one name its key is refused, the others work and the history is there."""
    environ = database_environment(migrated_database()) | {"PREFECT_FLY_API_KEYS": hashed(KEYS)}
    program = Program(tmp_path, environ)
    with running(program):
        key = KEYS["orchestrator"]
        client = program.client_environment(PREFECT_API_KEY=key, PREFECT_API_AUTH_STRING=f"orchestrator:{key}")
        assert result_of(run_client(CLIENTS / "history.py", client)) == {"result": [0, 2, 4]}
        assert program.stop() == -signal.SIGTERM
    left = {name: key for name, key in KEYS.items() if name != "orchestrator"}
    with running(replace(program, environ={**environ, "PREFECT_FLY_API_KEYS": hashed(left)}, process=None)) as again:
        assert flows(again, "orchestrator").status_code == 401
        assert [flow["name"] for flow in flows(again, "github").json()] == ["old-history"]


def test_a_stop_does_not_wait_for_who_only_listens(tmp_path: Path) -> None:
    """A websocket that would tell things for ever ends with the server, and its client hears that from uvicorn."""
    assert result_of(run_client(CLIENTS / "stopping.py", plain_environment(tmp_path))) == {"result": 1012}


def test_no_secret_on_the_way(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """Neither argv nor log of a server holds the password, the hashes or the string between gate and Prefect."""
    url = migrated_database()
    environ = database_environment(url) | {
        "PREFECT_FLY_API_KEYS": hashed(KEYS),
        "PREFECT_SERVER_LOGGING_LEVEL": "DEBUG",
    }
    with running(Program(tmp_path, environ)) as program:
        flows(program, "github")
        shown = program.log + Path(f"/proc/{program.pid}/cmdline").read_text()
        password = url.partition("://prefect:")[2].partition("@")[0]
        assert password
        for secret in (password, hashed({"github": KEYS["github"]})[12:-2], KEYS["github"], "gate:"):
            assert secret not in shown


def test_a_start_loads_only_what_a_server_needs(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """Neither Prefect's command line nor an integration: on a shared CPU each second of a start may take sixteen."""
    environ = database_environment(migrated_database()) | {
        "PREFECT_FLY_API_KEYS": hashed(KEYS),
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    with running(Program(tmp_path, environ)) as program:
        loaded = {line.rpartition("|")[2].strip() for line in program.log.splitlines() if "import time:" in line}
    assert "prefect.server.api.server" in loaded
    assert not loaded & {"prefect.cli", "cyclopts", "prefect_redis"}
