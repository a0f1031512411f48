"""detach: what the bookend runs on destroy, when the secrets are unset already: back to ephemeral mode.

The server below is removed only after this verb succeeds, so it never says so lightly: the orchestrator's own health
must say "not_configured", or the orchestrator must be gone.
"""

from __future__ import annotations

import argparse

from clients.fly import FlyClient, FlyError
from clients.fly.errors import FlyNotFoundError
from clients.github import GitHubError
from clients.names import SKIP_DETACH
from ops import arguments
from ops.errors import OpsError
from ops.orchestrator_health import NOT_CONFIGURED, HealthEndpoint, Reading
from ops.redeploy import redeploy, workflow_redeploy
from ops.runtime import Runtime

# After a good redeploy the new process may need as long as a cold start takes.
_SETTLE_SECONDS = 180.0
_AGAIN = "The server and all it needs are still there; fix the cause and run the destroy again: it goes on from here."
_OVERRIDE = (
    f"If the orchestrator may be left as it is, {SKIP_DETACH}=1 skips this step; it then keeps trying to reach a "
    "server that is gone until somebody redeploys it."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    arguments.redeploy(parser, older=True)
    parser.add_argument("--health-url", required=True, help="the orchestrator's health endpoint")
    parser.add_argument("--org", help="organization of the orchestrator's app; proves that an absent app is gone")


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Redeploy unless there is nothing to do, and wait until the orchestrator says it runs without a server.

    Raises:
        OpsError: it still uses the server, or nobody can tell; run it again.
    """
    if rt.environ.get(SKIP_DETACH) == "1":
        rt.progress.say(f"{SKIP_DETACH}=1: the orchestrator is left as it is and may still be using the server")
        return {"detached": False, "why": "skipped"}
    endpoint = HealthEndpoint(args.health_url, rt.world)
    try:
        why = _already(args, endpoint, rt)
        if not why:
            _redeploy_until_detached(args, endpoint, rt)
            why = "redeployed"
    except (OpsError, GitHubError, FlyError) as error:
        raise OpsError(f"{error} {_AGAIN} {_OVERRIDE}") from error
    rt.progress.say(f'the orchestrator runs without the server ("{why}")')
    return {"detached": True, "why": why}


def _already(args: argparse.Namespace, endpoint: HealthEndpoint, rt: Runtime) -> str:
    """Return why there is nothing to do, empty when there is."""
    reading = endpoint.read()
    rt.progress.say(f"the orchestrator's health: {reading.said}")
    if reading.prefect == NOT_CONFIGURED and not _run_in_flight(args, rt):
        return NOT_CONFIGURED
    if reading.gone and _app_is_gone(args, rt):
        return "gone"
    return ""


def _run_in_flight(args: argparse.Namespace, rt: Runtime) -> bool:
    """Tell whether a redeploy of ours is at work, which may yet bring the old secrets to life.

    A workflow that does not exist, or GitHub being down, has none that we could wait for.
    """
    if args.by != "workflow":
        return False
    try:
        return workflow_redeploy(args, rt).in_flight() is not None
    except (OpsError, GitHubError) as trouble:
        rt.progress.say(f"{trouble} Taking the orchestrator's word for it.")
        return False


def _app_is_gone(args: argparse.Namespace, rt: Runtime) -> bool:
    """Tell whether the orchestrator's app is proved gone: a 404 to a token that would see it.

    Without --org only the name speaks: it is global, and an app of another organization answers 403, not 404.

    Raises:
        FlyError: the token is not accepted, or the app belongs to somebody else.
    """
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    try:
        fly.apps.get(args.orchestrator_app)
    except FlyNotFoundError:
        coverage = fly.tokens.current()
        if args.org and not any(part.covers(args.org, args.orchestrator_app) for part in coverage):
            raise OpsError(
                f'could not tell whether app "{args.orchestrator_app}" is gone: Fly answers 404, but FLY_API_TOKEN '
                f'does not cover organization "{args.org}". Use a token of that organization.'
            ) from None
        return bool(coverage)
    return False


def _redeploy_until_detached(args: argparse.Namespace, endpoint: HealthEndpoint, rt: Runtime) -> None:
    report = redeploy(args, rt)
    reading = _settle(endpoint, rt)
    if reading.prefect != NOT_CONFIGURED and report.attached:
        # The run that was started before may have begun before the secrets were unset.
        rt.progress.say(f"still {reading.said} after the earlier run; redeploying once more")
        redeploy(args, rt)
        reading = _settle(endpoint, rt)
    if reading.prefect != NOT_CONFIGURED:
        run = f" ({report.url})" if report.url else ""
        raise OpsError(
            f'could not detach orchestrator "{args.orchestrator_app}": it was redeployed{run}, '
            f'but its health at {args.health_url} says {reading.said} instead of "{NOT_CONFIGURED}". See whether the '
            "deploy workflow sets PREFECT_API_URL from elsewhere."
        )


def _settle(endpoint: HealthEndpoint, rt: Runtime) -> Reading:
    reading = endpoint.read()
    for left in rt.until(_SETTLE_SECONDS):
        reading = endpoint.read()
        if reading.prefect == NOT_CONFIGURED:
            break
        rt.progress.waiting(f'waiting for "{NOT_CONFIGURED}", health says {reading.said}', left)
    return reading
