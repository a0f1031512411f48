"""What the sandbox's world holds at first: the organisation `captionacc`, as it was before it had a Prefect server.

One Fly app with the sample orchestrator and secrets of its own, one GitHub repository with the workflow that deploys it
and a secret of somebody else's, an account at Better Stack without monitors.
"""

from __future__ import annotations

from typing import Any

from sandbox.core.clock import Clock
from sandbox.fly import Fly
from sandbox.fly.models import App, Machine
from sandbox.github.models import Run, Workflow
from sandbox.github.runs import RunHook
from sandbox.github.state import GitHubState
from sandbox.names import ORCHESTRATOR, ORGANISATION, REPOSITORY, SERVER, WORKFLOW

__all__ = ["ORCHESTRATOR", "ORGANISATION", "REPOSITORY", "SERVER", "WORKFLOW"]

ORCHESTRATOR_PORT = 8080
ORCHESTRATOR_IMAGE = f"registry.fly.io/{ORCHESTRATOR}:deployment-01"

_OWN_SECRETS: dict[str, str | None] = {
    "SUPABASE_URL": "https://captionacc.supabase.example",
    "SUPABASE_SERVICE_KEY": "sandbox-supabase-service-key",
    "MODAL_TOKEN_SECRET": "sandbox-modal-token-secret",
}
_CHECK = {"interval": "5s", "timeout": "5s", "grace_period": "5s", "path": "/health"}
_RELEASE = "fly_release_version"
"""Metadata by which flyctl knows a machine's release, and with it which secrets have been deployed."""
_DEPLOY_SECONDS = 300.0


def fill_github(state: GitHubState) -> None:
    """Put the repository, its workflow and a stranger's secret into an empty GitHub."""
    repository = state.add_repository(ORGANISATION, "captionacc")
    state.add_workflow(
        repository, WORKFLOW, "Deploy orchestrator", inputs={"reason": False, "nonce": False}, title_input="nonce"
    )
    state.add_workflow(repository, "ci.yml", "CI", dispatchable=False)
    repository.vault.put("SUPABASE_SERVICE_KEY", "sandbox-supabase-service-key", 0.0)


async def fill_fly(fly: Fly, environment: dict[str, str]) -> Machine:
    """Put the orchestrator's app with one machine into an empty Fly; the ports must be open already.

    Args:
        fly: where to put it.
        environment: plain variables of the machine.
    """
    app = fly.add_app(ORCHESTRATOR)
    for kind in ("shared_v4", "v6"):
        fly.state.add_address(app, kind)
    fly.set_secrets(ORCHESTRATOR, dict(_OWN_SECRETS))
    release = fly.state.add_release(app, ORCHESTRATOR_IMAGE, _fly_toml(environment))
    machine = await _create(fly, environment, release["version"])
    fly.state.finish_release(release, "complete")
    return machine


def _fly_toml(environment: dict[str, str]) -> dict[str, Any]:
    """Return the orchestrator's fly.toml as `fly deploy` keeps it with a release."""
    return {
        "app": ORCHESTRATOR,
        "primary_region": "ewr",
        "kill_signal": "SIGINT",
        "kill_timeout": "10s",
        "build": {"image": ORCHESTRATOR_IMAGE},
        "env": {"PORT": str(ORCHESTRATOR_PORT), **environment},
        "http_service": {
            "internal_port": ORCHESTRATOR_PORT,
            "force_https": True,
            "auto_stop_machines": "off",
            "auto_start_machines": True,
            "min_machines_running": 1,
            "checks": [{"method": "GET", **_CHECK}],
        },
        "vm": [{"cpu_kind": "shared", "cpus": 1, "memory": "1024mb"}],
    }


async def _create(fly: Fly, environment: dict[str, str], release: int) -> Machine:
    config = {
        "image": ORCHESTRATOR_IMAGE,
        "env": {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr", "PORT": str(ORCHESTRATOR_PORT), **environment},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 1024},
        "metadata": {"fly_platform_version": "v2", "fly_process_group": "app", _RELEASE: str(release)},
        "services": [
            {
                "protocol": "tcp",
                "internal_port": ORCHESTRATOR_PORT,
                "autostop": "off",
                "autostart": True,
                "min_machines_running": 1,
                "ports": [
                    {"port": 80, "handlers": ["http"], "force_https": True},
                    {"port": 443, "handlers": ["http", "tls"]},
                ],
                "checks": [{"type": "http", **_CHECK}],
            }
        ],
        "stop_config": {"signal": "SIGINT", "timeout": "10s"},
    }
    request = {"region": "ewr", "config": config, "min_secrets_version": fly.state.apps[ORCHESTRATOR].secrets_version}
    return await fly.create_machine(ORCHESTRATOR, request)


def deploying(fly: Fly, clock: Clock, environment: dict[str, str]) -> RunHook:
    """Return what the repository's workflows do: deploy-orchestrator.yml is a `fly deploy`, any other does nothing."""

    async def on_run(workflow: Workflow, run: Run) -> str:  # noqa: ARG001 - a hook
        if workflow.file != WORKFLOW:
            return "success"
        app = fly.state.apps.get(ORCHESTRATOR)
        if app is None:
            return "failure"
        release = fly.state.add_release(app, ORCHESTRATOR_IMAGE, _fly_toml(environment))
        await _deploy(fly, app, environment, release["version"])
        done = await _all_healthy(app, clock)
        fly.state.finish_release(release, "complete" if done else "failed")
        return "success" if done else "failure"

    return on_run


async def _deploy(fly: Fly, app: App, environment: dict[str, str], release: int) -> None:
    """Give every machine the app's current secrets with its own config, or make one when there is none."""
    if not app.live_machines:
        await _create(fly, environment, release)
        return
    for machine in app.live_machines:
        metadata = {**(machine.config.get("metadata") or {}), _RELEASE: str(release)}
        await fly.update_machine(machine, config={**machine.config, "metadata": metadata})


async def _all_healthy(app: App, clock: Clock) -> bool:
    deadline = clock.time() + _DEPLOY_SECONDS
    while not all(healthy(machine) for machine in app.live_machines):
        if clock.time() > deadline:
            return False
        await clock.sleep(0.2)
    return True


def healthy(machine: Machine) -> bool:
    """Tell whether a machine runs and all its services' checks pass."""
    expected = sum(len(service.get("checks") or []) for service in machine.services)
    passing = [check for check in machine.checks.values() if check.of_service and check.status == "passing"]
    return machine.state == "started" and len(passing) >= expected
