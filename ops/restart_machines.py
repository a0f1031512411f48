"""Redeploying without GitHub: the orchestrator's machines are updated in place, with the config they have."""

from __future__ import annotations

from clients.fly import FlyClient
from clients.fly.operations.rollout import update_secrets_in_place
from ops.errors import OpsError
from ops.runtime import Runtime


def restart_with_present_secrets(app: str, timeout: float, rt: Runtime, *, min_secrets_version: int = 0) -> int:
    """Update every machine of `app` so that it sees the app's present secrets; return how many there were.

    Args:
        app: the orchestrator's app.
        timeout: seconds for each machine to start and pass its checks.
        rt: the surroundings.
        min_secrets_version: of our last write, 0 when it is not known.

    Raises:
        OpsError: there is no machine to update.
        FlyError: a machine could not be updated, or is not healthy with these secrets.
    """
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    rolled = update_secrets_in_place(fly, app, min_secrets_version=min_secrets_version, healthy_within=timeout)
    if not rolled:
        raise OpsError(
            f'could not redeploy app "{app}": it has no machine that was deployed with flyctl or the Machines API v2. '
            "Deploy it once, or set orchestrator.redeploy: workflow."
        )
    rt.progress.say(f"{len(rolled)} machine(s) of {app} run with the present secrets")
    return len(rolled)
