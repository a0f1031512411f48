"""Web machines that serve through the edge, for tests with real processes."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.contract.fly_sandbox.conftest import World


def config_of(**changes: Any) -> dict[str, Any]:
    """Return a config of a web machine with a quick health check."""
    check = {"type": "http", "path": "/health", "interval": "200ms", "timeout": "2s", "grace_period": "30s"}
    service = {"internal_port": 8080, "ports": [{"port": 443, "handlers": ["http"], "force_https": True}]}
    config: dict[str, Any] = {"services": [{**service, "checks": [check]}], "restart": {"policy": "always"}}
    return {**config, **changes}


async def healthy(world: World, machine: Any) -> None:
    """Wait until the machine's checks pass."""

    async def passing() -> bool:
        checks = (await world.show(machine))["checks"]
        return bool(checks) and all(check["status"] == "passing" for check in checks)

    await world.until(passing)


async def fetch(url: str, **options: Any) -> tuple[int, str, dict[str, str]]:
    """Return status, text and headers of one request to the edge on a connection of its own."""
    method = options.pop("method", "GET")
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as reply:
        return reply.status, await reply.text(), {name.lower(): value for name, value in reply.headers.items()}


async def serving(world: World, count: int = 1, **changes: Any) -> list[Any]:
    """Bring up an app with healthy machines and an open edge."""
    await world.app("web", "shared_v4")
    machines = [await world.machine(name=f"m{number}", config=config_of(**changes)) for number in range(count)]
    for machine in machines:
        await healthy(world, machine)

    async def is_open() -> bool:
        return world.fly.edge.is_open("web")

    await world.until(is_open)
    return machines
