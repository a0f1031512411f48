"""Workflow runs of a whole sandbox, and what the orchestrator says afterwards."""

from __future__ import annotations

import requests

from sandbox.captionacc import ORCHESTRATOR, REPOSITORY
from sandbox.testing import Sandbox
from tests.support.waiting import until


def dispatch(sb: Sandbox) -> int:
    """Dispatch the workflow and return its run's id."""
    env = sb.env()
    url = f"{env['GITHUB_API_URL']}/repos/{REPOSITORY}/actions/workflows/deploy-orchestrator.yml/dispatches"
    answer = requests.post(
        url,
        json={"ref": "main", "return_run_details": True},
        headers={"Authorization": f"Bearer {env['GITHUB_TOKEN']}"},
        timeout=600,
    )
    assert answer.status_code == 200, answer.text
    number = answer.json()["workflow_run_id"]
    assert isinstance(number, int)
    return number


def conclusion(sb: Sandbox, number: int) -> str:
    """Wait for a run's end."""
    run = sb.github.repository(REPOSITORY).run(number)
    assert run is not None
    return str(until(lambda: run.conclusion))


def component(sb: Sandbox) -> str | None:
    """Return what the orchestrator says of Prefect, through the edge."""
    try:
        health = requests.get(f"{sb.edge_url(ORCHESTRATOR)}/health", timeout=600).json()
    except (requests.ConnectionError, ValueError):
        return None
    state = health["components"]["prefect"]
    assert isinstance(state, str)
    return state
