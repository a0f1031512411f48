"""The program: settings in, components out. See README.md."""

import os
import signal

import pulumi

from components.api_keys import ApiKeys, ApiKeysArgs
from components.orchestrator_wiring import OrchestratorWiring, OrchestratorWiringArgs
from components.prefect_server import PrefectServer, PrefectServerArgs
from components.uptime_monitor import UptimeMonitor, UptimeMonitorArgs
from outputs import export
from settings import load

# The engine interrupts the program once a resource failed; what it says of that resource is enough.
signal.signal(signal.SIGINT, lambda *_: os._exit(130))

settings = load()
keys = server = monitor = wiring = None

if settings.mode == "self-hosted":
    consumers = ("orchestrator", "github", "verify", *settings.logins)
    key_args = ApiKeysArgs(consumers=consumers, current=settings.keys.current, accepted=settings.keys.accepted)
    keys = ApiKeys(settings.fly.app, key_args)
    server = PrefectServer(settings.fly.app, PrefectServerArgs(settings=settings, keys=keys))
    if settings.uptime.enabled:
        monitor_args = UptimeMonitorArgs.of(settings)
        opts = pulumi.ResourceOptions(depends_on=[server.verified])
        monitor = UptimeMonitor(settings.fly.app, monitor_args, opts)

if settings.orchestrator.connected:
    wiring_args = OrchestratorWiringArgs(settings=settings, keys=keys, server=server, monitor=monitor)
    wiring = OrchestratorWiring(settings.orchestrator.app, wiring_args)

export(settings, keys, server, wiring)
