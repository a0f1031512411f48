"""The dashboard and the alert rules of monitoring/ against what a real server exposes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from tests.image.conftest import KEYS
from tests.support.prefect_server import Program, database_environment, hashed, running

pytestmark = pytest.mark.prefect

MONITORING = Path(__file__).resolve().parents[2] / "monitoring"
FLY_LABELS = {"app", "region", "host", "instance"}
# What Fly adds for every app, as its documentation names it: no server of ours can show these.
FLY_METRICS = {
    "fly_edge_http_responses_count": {"status"},
    "fly_instance_memory_mem_available": set[str](),
    "fly_instance_memory_swap_free": set[str](),
    "fly_instance_memory_swap_total": set[str](),
}
NOT_METRICS = {"histogram_quantile", "label_values", "__rate_interval"}
HEADERS = {"Authorization": f"Bearer {KEYS['admin']}"}


def dashboard() -> list[str]:
    """Every expression of the dashboard."""
    board = json.loads((MONITORING / "dashboard.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return asked + [each["definition"] for each in board["templating"]["list"] if "definition" in each]


def rules() -> list[str]:
    """Every expression of the alert rules."""
    content = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    return [rule["expr"] for group in content["groups"] for rule in group["rules"]]


def exposed(program: Program) -> dict[str, set[str]]:
    """Name of each series that the server exposes, with its labels."""
    text = requests.get(f"http://127.0.0.1:{program.metrics_port}/metrics", timeout=600).text
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if series := re.match(r"([a-z_]+)(\{[^}]*\})? ", line):
            found.setdefault(series[1], set()).update(re.findall(r"(\w+)=", series[2] or ""))
    return found


def labels_by_metric(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Every metric of an expression, with the labels that it selects by."""
    for name, selector in re.findall(r"(?<!\$)\b([a-z_]+_[a-z_]+)\b(\{[^}]*\})?", re.sub(r'"[^"]*"', "", expression)):
        if name not in NOT_METRICS:
            yield name, set(re.findall(r"(\w+)\s*(?:=|!=|=~)", selector))


@pytest.mark.parametrize("expressions", [dashboard, rules])
def test_every_metric_and_label_exists(server: Program, expressions: Callable[[], list[str]]) -> None:
    """What the dashboard and the rules ask for is what a real server exposes, labels included, or what Fly adds."""
    requests.post(f"{server.api_url}/flows/filter", headers=HEADERS, json={}, timeout=600)
    known: Mapping[str, set[str]] = exposed(server) | FLY_METRICS
    asked = [pair for expression in expressions() for pair in labels_by_metric(expression)]
    assert len({name for name, _ in asked}) >= 10
    assert {name for name, _ in asked} - known.keys() == set()
    assert [(name, labels) for name, labels in asked if not labels <= known[name] | FLY_LABELS] == []


def test_runs_in_the_metrics_are_those_of_the_database(migrated_database: Callable[[], str], tmp_path: Path) -> None:
    """Open, ended and late runs, the size and the connections of a real database, as metrics and to a key's holder."""
    environ = database_environment(migrated_database()) | {"PREFECT_FLY_API_KEYS": hashed(KEYS)}
    with running(Program(tmp_path, environ)) as program:

        def post(path: str, body: dict[str, Any]) -> str:
            reply = requests.post(f"{program.api_url}{path}", headers=HEADERS, json=body, timeout=600)
            assert reply.ok, reply.text
            return str(reply.json()["id"])

        flow = post("/flows/", {"name": "observed"})
        for kind, number in (("RUNNING", 2), ("COMPLETED", 1), ("FAILED", 3)):
            for _ in range(number):
                run = post("/flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}})
                moved = {"state": {"type": kind, "name": "a name of one's own"}, "force": True}
                reply = requests.post(
                    f"{program.api_url}/flow_runs/{run}/set_state", headers=HEADERS, json=moved, timeout=600
                )
                assert reply.json()["status"] == "ACCEPT", reply.text
        due = (datetime.now(UTC) - timedelta(minutes=10)).isoformat()
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
        post("/flow_runs/", {"flow_id": flow, "state": state})

        status = requests.get(f"{program.url}/gate/status", headers=HEADERS, timeout=600).json()
        metrics = requests.get(f"http://127.0.0.1:{program.metrics_port}/metrics", timeout=600).text
    database = status["database"]
    assert database["open"] == {"SCHEDULED": 1, "PENDING": 0, "RUNNING": 2, "PAUSED": 0, "CANCELLING": 0}
    assert database["ended"] == {"COMPLETED": 1, "FAILED": 3, "CRASHED": 0, "CANCELLED": 0}
    assert database["late"] == 1
    assert database["lateness_seconds"] >= 600
    assert database["size_bytes"] > 5_000_000
    assert 1 <= database["connections"] <= database["connections_limit"]
    assert status["prefect"] == "3.8.8"
    assert status["pool"]["used"] + status["pool"]["idle"] <= status["pool"]["limit"]
    assert 'prefect_server_flow_runs_open{state="RUNNING"} 2.0' in metrics
    assert 'prefect_server_flow_runs_ended{state="FAILED"} 3.0' in metrics
    assert "prefect_server_flow_runs_late 1.0" in metrics
    assert "prefect_server_database_up 1.0" in metrics
    assert "a name of one's own" not in metrics
