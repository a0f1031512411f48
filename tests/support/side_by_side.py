"""Servers on one database, each as the machine it would be, and what an admin asks of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from tests.image.conftest import KEYS
from tests.support.prefect_server import Program, database_environment, hashed


def server(home: Path, url: str, machine: str, **more: str) -> Program:
    """A server that is not started yet, with more variables."""
    environ = database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed(KEYS), "FLY_MACHINE_ID": machine}
    return Program(home, environ | more)


def ask(server: Program, method: str, path: str, content: object = None) -> requests.Response:
    """Ask something below its API, with an admin's key."""
    credential = {"Authorization": f"Bearer {KEYS['admin']}"}
    return requests.request(method, f"{server.api_url}{path}", json=content, headers=credential, timeout=600)


def post(server: Program, path: str, content: object) -> Any:
    """What the server answers to a change."""
    reply = ask(server, "POST", path, content)
    reply.raise_for_status()
    return reply.json() if reply.content else None


def react_to(server: Program, event: str) -> None:
    """Let an automation make a run of a flow of that name for each event of that name."""
    flow = post(server, "/flows/", {"name": event})["id"]
    deployment = post(server, "/deployments/", {"name": event, "flow_id": flow})["id"]
    trigger = {"type": "event", "expect": [event], "posture": "Reactive", "threshold": 1, "within": 0}
    action = {"type": "run-deployment", "source": "selected", "deployment_id": deployment}
    post(server, "/automations/", {"name": event, "trigger": trigger, "actions": [action]})


def send(server: Program, event: str, name: str) -> None:
    """Send an event; one of the same id is the same event."""
    resource = {"prefect.resource.id": name}
    post(
        server,
        "/events",
        [{"occurred": datetime.now(UTC).isoformat(), "event": name, "resource": resource, "id": event}],
    )
