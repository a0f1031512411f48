"""verify: prove that the orchestrator uses the server: its machines have the secrets, and both sides say so.

The orchestrator's health must say "healthy". That alone proves little: it may have been healthy before, or against
another server. So every machine must have been updated since the secrets were written, and our server must have
accepted a request with the orchestrator's key since then.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

from clients.client_versions import FIRST_WHOLE, FIRST_WITH_HEADER, LOSS, Fit, fit_of, needs_header
from clients.fly import FlyClient
from clients.prefect import (
    Credential,
    PrefectClient,
    PrefectError,
    PrefectUnauthorizedError,
)
from clients.prefect_answers import KeyUse
from ops import arguments
from ops.errors import OpsError
from ops.orchestrator_health import HEALTHY, NOT_CONFIGURED, HealthEndpoint, Reading
from ops.outdated_machines import Rollout, rollout
from ops.reaching import add_reach, prefect_client
from ops.runtime import Runtime
from ops.verify_server import credential_from

# So many lags long nothing but pages that are not the agreed JSON, and waiting is pointless.
_FOREIGN_LAGS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    arguments.endpoints(parser)
    parser.add_argument("--mode", choices=("self-hosted", "cloud"), required=True, help="whose server it is")
    parser.add_argument("--orchestrator-app", required=True, help="the orchestrator's Fly app")
    parser.add_argument("--health-url", required=True, help="the orchestrator's health endpoint")
    arguments.server_url(parser, required=False)
    arguments.server_app(parser, required=False)
    parser.add_argument("--key", default="orchestrator", help="name of the key that the orchestrator uses")
    parser.add_argument("--since", type=float, default=0.0, metavar="UNIX", help="when the redeploy began")
    arguments.timeout(parser, 300)
    add_reach(parser)
    parser.add_argument(
        "--client-version", default="", help="the orchestrator's Prefect client, as the stack states it"
    )
    parser.add_argument(
        "--old-client", choices=("refuse", "warn"), default="refuse", help="what to do when the client is too old"
    )


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Wait until the orchestrator and the server both confirm it.

    Raises:
        OpsError: they do not in time, or never will; the text says which.
        FlyError: Fly does not say what the machines run with.
    """
    endpoint = HealthEndpoint(args.health_url, rt.world)
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    server = KeyUsage.of(args, rt, fly) if args.mode == "self-hosted" else None
    version = fly.secrets.present_version(args.orchestrator_app)
    foreign_since, problem = math.inf, ""
    for left in rt.until(args.timeout):
        reading = endpoint.read()
        foreign_since = min(foreign_since, rt.clock()) if reading.foreign else math.inf
        if rt.clock() - foreign_since >= _FOREIGN_LAGS * rt.lag:
            raise OpsError(_wrong_shape(args.health_url, reading))
        problem = _unhealthy(args.health_url, reading)
        if not problem:
            problem = _unproved(rollout(fly, args.orchestrator_app, version), server)
        if not problem:
            if server:
                _judge_client(server.client_versions, args, rt)
            rt.progress.say("the orchestrator is healthy" + (" and the server saw its key" if server else ""))
            return {"health": HEALTHY, "verified": True}
        # The middle of the sentence: what is missing so far is not yet a failure.
        missing = problem.partition('": ')[2].partition(". ")[0]
        rt.progress.waiting(f"waiting: {missing}", left)
    raise OpsError(problem)


def _unproved(found: Rollout, server: KeyUsage | None) -> str:
    """Return what a healthy orchestrator does not prove yet: that its machines have the secrets, and use the server."""
    if missing := found.problem():
        return f'could not verify orchestrator "{found.app}": it says it is healthy, but {missing}. {found.advice}'
    # A use before the first machine was updated is one of the secrets of before.
    return server.missing(found.running_since) if server else ""


class KeyUsage:
    """What the server's machines saw of the orchestrator's key; each machine counts for itself."""

    def __init__(
        self, fly: FlyClient, server: PrefectClient, credential: Credential, *, app: str, key: str, since: float
    ) -> None:
        self._fly, self._server, self._credential = fly, server, credential
        self._app, self._key, self._since = app, key, since
        self.client_versions: list[str] = []

    @classmethod
    def of(cls, args: argparse.Namespace, rt: Runtime, fly: FlyClient) -> KeyUsage:
        """Build it from the flags and the environment.

        Raises:
            OpsError: a flag or the credential is missing.
        """
        if not args.server_url or not args.server_app:
            raise OpsError(
                'could not run verb "verify": --mode self-hosted needs --server-url and --server-app. Give both.'
            )
        server = prefect_client(args.server_url, args.reach, args.server_app, rt)
        return cls(fly, server, credential_from(rt), app=args.server_app, key=args.key, since=args.since)

    def missing(self, updated_at: float = 0.0) -> str:
        """Return the sentence for what is not proved yet, empty when it is.

        Args:
            updated_at: unix seconds; an earlier use proves nothing.

        Raises:
            OpsError: waiting will not help: the client is of Prefect 2, or our own credential is refused.
        """
        uses: list[KeyUse] = []
        trouble = ""
        for machine in self._serving():
            try:
                keys = self._server.key_use(self._credential, machine)
            except PrefectUnauthorizedError as refused:
                raise OpsError(
                    f'could not verify key "{self._key}": {refused.said}. The server\'s machines run with other '
                    'keys than the stack: run "pulumi up --refresh".'
                ) from refused
            except PrefectError as other:
                trouble = other.said
            else:
                uses += [keys[self._key]] if self._key in keys else []
        self._refuse_old_clients(uses)
        last = max((use.last_accepted or 0.0 for use in uses), default=0.0)
        since = max(self._since, updated_at)
        if last and last >= since:
            # A request of something else, a health check for one, says nothing about the version of before.
            fresh = [use for use in uses if (use.client_seen or 0.0) >= since]
            self.client_versions = sorted({use.client_version for use in fresh if use.client_version})
            return ""
        return self._unused(uses, last, trouble)

    def _serving(self) -> list[str]:
        """Return the ids of the started machines that serve the API; one empty id, any machine, when none is known."""
        machines = self._fly.machines.list(self._app)
        return [m.id for m in machines if m.state == "started" and m.config.get("services")] or [""]

    def _refuse_old_clients(self, uses: list[KeyUse]) -> None:
        versions = [use.client_version or "" for use in uses]
        old = next((version for version in versions if is_before_3(version)), None)
        if old:
            raise OpsError(
                f'could not verify key "{self._key}": the orchestrator uses Prefect {old}, and a client before 3 '
                f"cannot talk to this server. Move the orchestrator to prefect>={FIRST_WHOLE} and redeploy it."
            )

    def _unused(self, uses: list[KeyUse], last: float, trouble: str) -> str:
        start = f'could not verify key "{self._key}": the orchestrator says it is healthy, but '
        if trouble and not uses:
            return f'{start}the server could not be asked: {trouble}. Read the log of app "{self._app}".'
        if any(use.refused for use in uses) and not last:
            why = "the server only ever refused requests in its name; the orchestrator holds another value of it"
        elif last:
            why = "the server accepted its last request before the redeploy began"
        else:
            why = "the server never saw it used; the orchestrator talks to another server, or runs without one"
        return (
            f"{start}{why}. Check that the deploy workflow leaves PREFECT_API_URL, PREFECT_API_KEY and "
            'PREFECT_API_AUTH_STRING of the Fly app alone, then run "pulumi up" again.'
        )


def is_before_3(version: str) -> bool:
    """Tell whether a Prefect client of `version` is too old for any 3.x server; an unknown version is not."""
    return fit_of(version) is Fit.REFUSED


def _judge_client(versions: Sequence[str], args: argparse.Namespace, rt: Runtime) -> None:
    """Refuse, or warn of, a client that loses what people have a server for.

    Raises:
        OpsError: one of `versions` is too old, and that was not accepted.
    """
    for version in versions:
        if problem := _too_old(version, stated=args.client_version):
            if args.old_client == "refuse":
                raise OpsError(
                    f'could not verify orchestrator "{args.orchestrator_app}": {problem}, or accept the loss with '
                    'orchestrator.allowOldClient: true; then run "pulumi up" again.'
                )
            rt.progress.say(f"warning: {problem}")


def _too_old(version: str, *, stated: str) -> str:
    """Return what a client of `version` loses and what to do, empty when it loses nothing.

    Args:
        version: what the server saw.
        stated: orchestrator.clientVersion, which decides whether the client has the header.
    """
    fit = fit_of(version)
    if fit is Fit.WHOLE or (fit is Fit.WITH_HEADER and needs_header(stated)):
        return ""
    loses = f"it uses Prefect {version}: flow runs complete, but {LOSS}"
    if fit is Fit.WITH_HEADER:
        return f'{loses}. Set orchestrator.clientVersion: "{version}", which gives it the header that it needs'
    return f"{loses}. Move it to prefect>={FIRST_WHOLE}, or to {FIRST_WITH_HEADER} with orchestrator.clientVersion"


def _unhealthy(url: str, reading: Reading) -> str:
    if reading.prefect == HEALTHY:
        return ""
    start = f'could not verify orchestrator "{url}": '
    if reading.prefect == NOT_CONFIGURED:
        return (
            f'{start}its health still says "{NOT_CONFIGURED}": it runs without PREFECT_API_URL. See that the redeploy '
            'updates its machines with the app\'s present secrets, then run "pulumi up" again.'
        )
    if reading.foreign:
        return _wrong_shape(url, reading)
    said = f"its health says {reading.said}" if reading.prefect else f"its health endpoint answers: {reading.said}"
    return f'{start}{said}. Read the orchestrator\'s log for why it cannot use the server, then run "pulumi up" again.'


def _wrong_shape(url: str, reading: Reading) -> str:
    return (
        f'could not verify orchestrator "{url}": it answers {reading.said}. Set orchestrator.healthUrl to the endpoint '
        'that answers {"components": {"prefect": "healthy" | "unhealthy" | "not_configured"}} (or an object with '
        "status there)."
    )
