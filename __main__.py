"""The program: settings in, components out. See README.md."""

import pulumi

from components.api_keys import ApiKeys, ApiKeysArgs
from components.orchestrator_wiring import OrchestratorWiring, OrchestratorWiringArgs
from components.prefect_server import PrefectServer, PrefectServerArgs
from components.uptime_monitor import UptimeMonitor, UptimeMonitorArgs
from outputs import export
from settings import load

settings = load()
keys = server = wiring = None

if settings.mode == "self-hosted":
    consumers = ("orchestrator", "github", "verify", *settings.logins)
    key_args = ApiKeysArgs(consumers=consumers, current=settings.keys.current, accepted=settings.keys.accepted)
    keys = ApiKeys(settings.fly.app, key_args)
    server = PrefectServer(settings.fly.app, PrefectServerArgs(settings=settings, keys=keys))
    if settings.uptime.enabled:
        UptimeMonitor(
            settings.fly.app,
            UptimeMonitorArgs(
                world=settings.world,
                server_url=settings.server_url,
                title=f"Prefect ({settings.stack})",
                uptime=settings.uptime,
            ),
            pulumi.ResourceOptions(depends_on=[server.verified]),
        )

if settings.orchestrator.connected:
    wiring_args = OrchestratorWiringArgs(settings=settings, keys=keys, server=server)
    wiring = OrchestratorWiring(settings.orchestrator.app, wiring_args)

export(settings, keys, server, wiring)
