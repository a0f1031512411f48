"""What each component of a stack is given: the settings, cut to what it uses. No resource is made here but the keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pulumi

from clients.names import CONSUMERS, GITHUB, ORCHESTRATOR, PULUMI, VERIFY
from components.api_keys import ApiKeys, ApiKeysArgs, KeyLimits
from components.machine_config import MachineSettings
from components.orchestrator_redeploy import Deployment, OwnServer
from components.orchestrator_wiring import Connection, OrchestratorWiringArgs
from components.prefect_server import PrefectServer, PrefectServerArgs, ServerSecrets
from components.uptime_monitor import UptimeMonitor, UptimeMonitorArgs
from settings import Settings, expiry
from settings.fly import FlySettings


def api_keys(settings: Settings, fly: FlySettings) -> ApiKeys:
    """Make one key for each consumer and each person, and one for the stack itself."""
    # GitHub's runners do not reach a private server: they are given nothing, so there is no key of theirs either.
    usual = [name for name in CONSUMERS if name != GITHUB or not fly.private]
    # The stack's own also where it keeps nothing on the server: what it kept until now is removed with that key.
    args = ApiKeysArgs(
        consumers=(*usual, PULUMI, *(login.name for login in settings.logins)),
        current=settings.keys.current,
        accepted=settings.keys.accepted,
        limits=_limits(settings),
    )
    return ApiKeys(fly.app, args)


def _limits(settings: Settings) -> dict[str, KeyLimits]:
    """Return what the keys may do; the program's own checks only look."""
    people = {
        login.name: KeyLimits(rights=login.rights, expires=login.expires, sha256=login.sha256)
        for login in settings.logins
    }
    return {VERIFY: KeyLimits(rights="viewer"), **people}


def warn_of_old_logins(settings: Settings, now: datetime) -> None:
    """Say which logins are over: no mistake, since a stack outlives them, but somebody may wait for a later date."""
    for login in settings.logins:
        if login.expires and expiry.parse(login.expires) <= now:
            pulumi.log.warn(
                f'the login "{login.name}" expired at {login.expires}, and the server refuses it. '
                "Take it out of logins, or give it a later date"
            )


def machine_settings(settings: Settings, fly: FlySettings) -> MachineSettings:
    """Return what the machines' configuration is made of."""
    return MachineSettings(
        vm=settings.vm,
        region=fly.region,
        database=settings.database,
        retention=settings.retention,
        audit=settings.audit,
        separate_services=settings.services.separate,
        connections=settings.connections,
        private=fly.private,
    )


def server_args(settings: Settings, fly: FlySettings, keys: ApiKeys) -> PrefectServerArgs:
    """Return the inputs of the server."""
    return PrefectServerArgs(
        world=settings.world,
        owner=settings.owner,
        fly=fly,
        image=settings.image,
        machines=machine_settings(settings, fly),
        api_regions=settings.machine_regions,
        timeouts=settings.timeouts,
        strategy=settings.strategy,
        secrets=ServerSecrets(
            database_url=settings.database_url, database_ca=settings.database_ca, redis_url=settings.redis_url
        ),
        keys=keys,
        other_apps=[settings.orchestrator.app] if settings.orchestrator.connected else [],
    )


def monitor_args(settings: Settings) -> UptimeMonitorArgs:
    """Return the inputs of the monitor."""
    title = f"Prefect ({settings.stack})"
    return UptimeMonitorArgs(world=settings.world, server_url=settings.server_url, title=title, uptime=settings.uptime)


def after(server: PrefectServer) -> pulumi.ResourceOptions:
    """Return the options of a component that waits for the server."""
    return pulumi.ResourceOptions(depends_on=server.waits_for)


def wiring_args(
    settings: Settings,
    keys: ApiKeys | None,
    server: PrefectServer | None,
    monitor: UptimeMonitor | None,
    kept: Sequence[pulumi.Resource] = (),
) -> OrchestratorWiringArgs:
    """Return the inputs of the wiring, to our own server or to Prefect Cloud.

    `kept` are objects on the server that the orchestrator may use.
    """
    if keys and server:
        version = settings.orchestrator.client_version
        orchestrator = Connection.to_own_server(settings.api_url, keys, ORCHESTRATOR, version)
        github = None if settings.private else Connection.to_own_server(settings.api_url, keys, GITHUB, version)
    else:
        orchestrator = github = Connection.to_cloud(settings.api_url, settings.cloud_api_key)
    return OrchestratorWiringArgs(
        deployment=Deployment(
            world=settings.world,
            orchestrator=settings.orchestrator,
            github=settings.github,
            github_owner=settings.github_owner,
            timeout=settings.timeouts.redeploy,
        ),
        owner=settings.owner,
        fly_org=settings.fly.org if settings.fly else None,
        orchestrator=orchestrator,
        github=github,
        server=_own_server(settings, keys, server),
        healthy_timeout=settings.timeouts.healthy,
        waits_for=[*(server.waits_for if server else []), *(monitor.waits_for if monitor else []), *kept],
        # To start a plugin takes half a second. Nobody waits for it while the migration runs.
        github_starts_after=server.made_beside_migration if server else (),
    )


def _own_server(settings: Settings, keys: ApiKeys | None, server: PrefectServer | None) -> OwnServer | None:
    if settings.fly is None or keys is None or server is None:
        return None
    return OwnServer(
        url=settings.server_url,
        app=settings.fly.app,
        key_name=keys.current_name(ORCHESTRATOR),
        credential=server.verify_credential,
        verified=server.verified,
        reach=settings.fly.reach,
    )
