"""The program: settings in, components out. See README.md."""

import gc
from datetime import UTC, datetime

# What is imported stays. To look through it for garbage took a sixth of the start, and 0.3 s of the end (ADR 15).
gc.disable()

from components import on_server, program, stack
from components.github_environment import require_environment
from components.orchestrator_wiring import OrchestratorWiring
from components.prefect_server import PrefectServer
from components.uptime_monitor import UptimeMonitor
from outputs import export
from settings import load

program.begin()
settings = load()
keys = server = monitor = wiring = None
if settings.orchestrator.connected and not settings.private:
    require_environment(settings.world, settings.github_repository, settings.github.environment)

if settings.fly is not None:
    stack.warn_of_old_logins(settings, datetime.now(UTC))
    keys = stack.api_keys(settings, settings.fly)
    server = PrefectServer(settings.fly.app, stack.server_args(settings, settings.fly, keys))
    if settings.uptime.enabled:
        monitor = UptimeMonitor(settings.fly.app, stack.monitor_args(settings), stack.after(server))

kept = on_server.keep(settings, keys, server)
if settings.orchestrator.connected:
    args = stack.wiring_args(settings, keys, server, monitor, kept)
    wiring = OrchestratorWiring(settings.orchestrator.app, args)

export(settings, keys, server, wiring)
gc.freeze()
