"""emergency-detach: for people, when GitHub or the stack cannot be used: back to ephemeral mode by Fly alone.

It unsets what `pulumi up` set on the orchestrator's app and restarts its machines. The server stays up, to be debugged.
"""

from __future__ import annotations

import argparse

from clients.fly import FlyClient
from clients.names import OWNER_PREFIX, WIRED
from ops import arguments
from ops.errors import OpsError
from ops.orchestrator_health import NOT_CONFIGURED, HealthEndpoint
from ops.restart_machines import restart_with_present_secrets
from ops.runtime import Runtime
from ops.stack_settings import add_stack, from_stack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser, of_stack=True)
    add_stack(parser)
    parser.add_argument("--orchestrator-app", help="the orchestrator's Fly app")
    parser.add_argument("--health-url", help="the orchestrator's health endpoint")
    arguments.timeout(parser, 300)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Unset the secrets, restart the machines, wait for the orchestrator, and say what is left to do.

    Raises:
        OpsError: a setting is missing, or the orchestrator still uses the server.
        FlyError: Fly refused.
    """
    found = from_stack(args, rt)
    rt = found.rt
    app, health_url = found.need("orchestrator_app"), found.need("health_url")
    endpoint = HealthEndpoint(health_url, rt.world)
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    names = [secret.name for secret in fly.secrets.list_now(app) if is_ours(secret.name)]
    version = 0
    if names:
        rt.progress.say(f"unsetting {', '.join(sorted(names))} on {app}")
        version = fly.secrets.write(app, dict.fromkeys(names)).version
    if names or endpoint.read().prefect != NOT_CONFIGURED:
        restart_with_present_secrets(app, args.timeout, rt, min_secrets_version=version)
    _wait(app, endpoint, args.timeout, rt)
    rt.progress.say(_REMAINS)
    return {"app": app, "unset": sorted(names), "health": NOT_CONFIGURED}


def is_ours(name: str) -> bool:
    """Tell whether the program sets a secret of this name on the orchestrator."""
    return name in WIRED or name.startswith(OWNER_PREFIX)


def _wait(app: str, endpoint: HealthEndpoint, timeout: float, rt: Runtime) -> None:
    for left in rt.until(timeout):
        reading = endpoint.read()
        if reading.prefect == NOT_CONFIGURED:
            return
        rt.progress.waiting(f'waiting for "{NOT_CONFIGURED}", health says {reading.said}', left)
    raise OpsError(
        f'could not roll back orchestrator "{app}": its secrets are unset and its machines restarted, but its '
        f'health at {endpoint.url} says {reading.said} instead of "{NOT_CONFIGURED}". See whether its image or '
        "fly.toml sets PREFECT_API_URL, then run it again."
    )


_REMAINS = """\
the orchestrator runs in ephemeral mode. What remains:
         1. The repository's Actions secrets of the same names are still set.
         2. The server still runs, and costs, so that it can be debugged.
         3. Later: "pulumi destroy --refresh" removes both, or "pulumi up --refresh" wires the orchestrator again."""
