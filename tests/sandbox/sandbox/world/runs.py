"""Workflow runs of a whole sandbox, and what the orchestrator says afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests

from sandbox.captionacc import ORCHESTRATOR, REPOSITORY
from sandbox.testing import Sandbox


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until `what()` is true and return it."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def dispatch(sb: Sandbox) -> int:
    """Dispatch the workflow and return its run's id."""
    env = sb.env()
    url = f"{env['GITHUB_API_URL']}/repos/{REPOSITORY}/actions/workflows/deploy-orchestrator.yml/dispatches"
    answer = requests.post(
        url,
        json={"ref": "main", "return_run_details": True},
        headers={"Authorization": f"Bearer {env['GITHUB_TOKEN']}"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    number = answer.json()["workflow_run_id"]
    assert isinstance(number, int)
    return number


def conclusion(sb: Sandbox, number: int) -> str:
    """Wait for a run's end."""
    run = sb.github.repository(REPOSITORY).run(number)
    assert run is not None
    return str(until(lambda: run.conclusion, 120))


def component(sb: Sandbox) -> str | None:
    """Return what the orchestrator says of Prefect, through the edge."""
    try:
        health = requests.get(f"{sb.edge_url(ORCHESTRATOR)}/health", timeout=60).json()
    except (requests.ConnectionError, ValueError):
        return None
    state = health["components"]["prefect"]
    assert isinstance(state, str)
    return state
