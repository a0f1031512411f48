"""The stock Prefect client works whole behind the gate, against a real server and a real Postgres with TLS."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.image.conftest import KEYS
from tests.support.prefect_server import Program, result_of, run_client

pytestmark = pytest.mark.prefect

CLIENTS = Path(__file__).parent / "clients"


def three_variables(server: Program) -> dict[str, str]:
    """What the orchestrator is given."""
    key = KEYS["orchestrator"]
    return server.client_environment(PREFECT_API_KEY=key, PREFECT_API_AUTH_STRING=f"orchestrator:{key}")


def use_of(server: Program, name: str) -> dict[str, object]:
    """What the gate has counted for a name."""
    reply = requests.get(f"{server.url}/gate/keys", headers={"Authorization": f"Bearer {KEYS['admin']}"}, timeout=600)
    use = reply.json()["keys"][name]
    assert isinstance(use, dict)
    return use


def test_round_trip(server: Program) -> None:
    """A flow, its tasks, their logs and a custom event all reach the server and come back, counted under its key."""
    result = result_of(run_client(CLIENTS / "round_trip.py", three_variables(server)))
    assert result == {"run": "Completed", "tasks": ["Completed"] * 4, "logs": 4, "heard": ["back again"]}
    use = use_of(server, "orchestrator")
    assert use["client_version"] == "3.8.8"
    assert isinstance(use["accepted"], int)
    assert use["accepted"] > 10


def test_serve(server: Program) -> None:
    """`flow.serve()` runs both what its schedule and what a client asks for."""
    result = result_of(run_client(CLIENTS / "serving.py", three_variables(server)))
    assert result == {"triggered": "Completed", "completed": ["scheduled", "triggered"]}


def test_worker(server: Program) -> None:
    """A worker connects over its websocket, is seen online and runs what it is given."""
    result = result_of(run_client(CLIENTS / "working.py", three_variables(server)))
    assert result == {"run": "Completed", "workers": ["ONLINE"]}


@pytest.mark.parametrize(
    "given",
    [
        {"PREFECT_API_KEY": "guess"},
        {"PREFECT_API_AUTH_STRING": "orchestrator:guess"},
        {"PREFECT_API_AUTH_STRING": f"github:{KEYS['orchestrator']}"},
        {},
    ],
    ids=["wrong key", "wrong string", "another's name", "nothing"],
)
def test_wrong_credential_is_told_so(server: Program, given: dict[str, str]) -> None:
    """A client with a wrong or no credential is told 401 at once."""
    done = run_client(CLIENTS / "ask.py", server.client_environment(**given))
    assert result_of(done) == {"outcome": 401}
