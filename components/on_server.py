"""What a stack keeps on the Prefect server that it uses, self-hosted or Prefect Cloud: alerts, and other objects."""

from __future__ import annotations

import pulumi

from clients.names import PULUMI
from components import stack
from components.alerts import Alerts, AlertsArgs
from components.api_keys import ApiKeys
from components.prefect_server import PrefectServer
from components.server_access import ServerAccess
from components.server_objects import ServerObjects, ServerObjectsArgs
from settings import Settings


def keep(settings: Settings, keys: ApiKeys | None, server: PrefectServer | None) -> list[pulumi.Resource]:
    """Make what the stack states, and return what the orchestrator may use and so has to wait for."""
    if not settings.keeps_something:
        return []
    access, opts = _access(settings, keys), stack.after(server) if server else None
    if settings.alerts.channels:
        alerts = AlertsArgs(access=access, alerts=settings.alerts, addresses=settings.alert_addresses)
        Alerts(settings.server_name, alerts, opts)
    if not settings.states_objects:
        return []
    objects = ServerObjectsArgs(
        access=access,
        variables=settings.variables,
        work_pools=settings.work_pools,
        limits=settings.concurrency_limits,
    )
    return ServerObjects(settings.server_name, objects, opts).waits_for


def _access(settings: Settings, keys: ApiKeys | None) -> ServerAccess:
    return ServerAccess(
        world=settings.world,
        owner=settings.owner,
        stack=settings.stack,
        # The app's own address is there before a name of one's own is, and after.
        api_url=f"{settings.fly.app_url}/api" if settings.fly else settings.api_url,
        ui_url=settings.ui_url,
        credential=keys.credential(PULUMI) if keys else pulumi.Output.secret(settings.cloud_api_key),
    )
