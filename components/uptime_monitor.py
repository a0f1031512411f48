"""The Better Stack monitor of the server.

Owns one monitor, named by the URL it watches. Does not own alert policies or the team it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

import pulumi

from clients.endpoints import World
from components.children import child_options
from components.type_tokens import UPTIME_MONITOR
from providers.better_stack_monitor import Monitor
from settings.groups import UptimeSettings

# Better Stack warns this many days before the certificate runs out.
_SSL_EXPIRATION_DAYS = 14
_REQUEST_TIMEOUT_SECONDS = 15


@dataclass(frozen=True, kw_only=True)
class UptimeMonitorArgs:
    """Inputs of UptimeMonitor.

    Attributes:
        world: the world the monitor lives in.
        server_url: public address of the server.
        title: name shown in Better Stack.
        uptime: path, interval in seconds and regions.
    """

    world: World
    server_url: str
    title: str
    uptime: UptimeSettings


class UptimeMonitor(pulumi.ComponentResource):
    """Watches the server. The path it asks for fails when the database does."""

    url: pulumi.Output[str]
    waits_for: list[pulumi.Resource]

    def __init__(self, name: str, args: UptimeMonitorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(UPTIME_MONITOR, name, None, opts)
        url = f"{args.server_url}{args.uptime.path}"
        # The logical name carries the URL: another URL is another monitor, never a change of this one.
        monitor = Monitor(
            f"{name}-{urlsplit(url).netloc}{args.uptime.path}",
            endpoints=args.world.value,
            url=url,
            name=args.title,
            check_frequency=args.uptime.interval_seconds,
            regions=list(args.uptime.regions),
            request_timeout=_REQUEST_TIMEOUT_SECONDS,
            ssl_expiration=_SSL_EXPIRATION_DAYS if args.world is World.REAL else None,
            opts=child_options(self, opts),
        )
        self.url = monitor.url
        self.waits_for = [monitor]
        self.register_outputs({"url": self.url})
