"""What the sandbox's world holds at first: the organisation `captionacc`, as it was before it had a Prefect server.

One Fly app with the sample orchestrator and secrets of its own, one GitHub repository with the workflow that deploys it
and a secret of somebody else's, an account at Better Stack without monitors.
"""

from __future__ import annotations

from sandbox.core.clock import Clock
from sandbox.fly import Fly
from sandbox.fly.models import Machine
from sandbox.github.models import Run, Workflow
from sandbox.github.runs import RunHook
from sandbox.github.state import GitHubState

ORGANISATION = "captionacc"
REPOSITORY = "captionacc/captionacc"
ORCHESTRATOR = "captionacc-orchestrator"
SERVER = "captionacc-prefect"
WORKFLOW = "deploy-orchestrator.yml"
ORCHESTRATOR_PORT = 8080
ORCHESTRATOR_IMAGE = f"registry.fly.io/{ORCHESTRATOR}:deployment-01"

_OWN_SECRETS: dict[str, str | None] = {
    "SUPABASE_URL": "https://captionacc.supabase.example",
    "SUPABASE_SERVICE_KEY": "sandbox-supabase-service-key",
    "MODAL_TOKEN_SECRET": "sandbox-modal-token-secret",
}
_DEPLOY_SECONDS = 120.0


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
    return await _create(fly, environment)


async def _create(fly: Fly, environment: dict[str, str]) -> Machine:
    check = {"type": "http", "interval": "5s", "timeout": "5s", "grace_period": "5s", "path": "/health"}
    config = {
        "image": ORCHESTRATOR_IMAGE,
        "env": {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr", "PORT": str(ORCHESTRATOR_PORT), **environment},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 1024},
        "metadata": {"fly_platform_version": "v2", "fly_process_group": "app", "fly_release_version": "1"},
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
                "checks": [check],
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
        if not app.live_machines:
            await _create(fly, environment)
        else:
            for machine in app.live_machines:
                await fly.update_machine(machine)
        deadline = clock.time() + _DEPLOY_SECONDS
        while not all(healthy(machine) for machine in app.live_machines):
            if clock.time() > deadline:
                return "failure"
            await clock.sleep(0.2)
        return "success"

    return on_run


def healthy(machine: Machine) -> bool:
    """Tell whether a machine runs and all its services' checks pass."""
    expected = sum(len(service.get("checks") or []) for service in machine.services)
    passing = [check for check in machine.checks.values() if check.status == "passing"]
    return machine.state == "started" and len(passing) >= expected
