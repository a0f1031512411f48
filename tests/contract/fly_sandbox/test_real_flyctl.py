"""The real flyctl against the emulated Fly; opt-in, because flyctl is no part of this project.

FLYCTL names its binary (built with `go build` from github.com/superfly/flyctl, v0.4.80). The calls it makes are also
proved one by one, without it, in test_flyctl_calls.py.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.contract.fly_sandbox.conftest import World, WorldFactory

_CONFIG = {
    "metadata": {"fly_platform_version": "v2", "fly_process_group": "app"},
    "services": [
        {
            "internal_port": 8080,
            "protocol": "tcp",
            "ports": [{"port": 443, "handlers": ["http", "tls"]}],
            "checks": [{"type": "http", "path": "/health", "interval": "500ms", "grace_period": "30s"}],
        }
    ],
}


@pytest.fixture
def flyctl() -> str:
    """Return the binary, or skip."""
    binary = os.environ.get("FLYCTL", "")
    if not binary:
        pytest.skip("FLYCTL does not name a flyctl binary")
    return binary


async def run(binary: str, world: World, folder: Path, *arguments: str) -> str:
    """Run flyctl against the world and return what it printed."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "FLY_CONFIG_DIR": str(folder),
        "FLY_API_BASE_URL": world.fly.api.url,
        "FLY_UIEX_BASE_URL": world.fly.api.url,
        "FLY_METRICS_BASE_URL": world.fly.api.url,
        "FLY_SYNTHETICS_BASE_URL": world.fly.api.url,
        "FLY_FLAPS_BASE_URL": world.fly.machines_api.url,
        "FLY_API_TOKEN": world.fly.token,
        "FLY_SEND_METRICS": "0",
        "FLY_SYNTHETICS_AGENT": "0",
        "FLY_NO_UPDATE_CHECK": "1",
        "FLY_NO_INCIDENTS_CHECK": "1",
    }
    process = await asyncio.create_subprocess_exec(
        binary,
        *arguments,
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, (arguments, text)
    return text


def test_the_verbs_people_use_work(flyctl: str, fly_world: WorldFactory, tmp_path: Path) -> None:
    """apps, status, secrets, machine, ips, checks and logs of the real flyctl do and show what they should."""

    async def scenario() -> None:
        async with fly_world("process") as world:

            async def fly(*arguments: str) -> str:
                return await run(flyctl, world, tmp_path, *arguments)

            assert "New app created: web" in await fly("apps", "create", "web", "--org", "captionacc")
            assert "web" in await fly("apps", "list")
            await fly("ips", "allocate-v6", "-a", "web")
            await fly("ips", "allocate-v4", "--shared", "-a", "web")
            assert "66.241.125.7" in await fly("ips", "list", "-a", "web")
            await fly("secrets", "set", "GREETING=hi", "--stage", "-a", "web")
            assert "Staged" in await fly("secrets", "list", "-a", "web")
            machine = await world.machine(config=_CONFIG, name="m", min_secrets_version=1)
            await fly("machine", "wait", machine["id"], "-a", "web", "--state", "started")

            async def healthy() -> bool:
                return "passing" in await fly("checks", "list", "-a", "web")

            async def gone() -> bool:
                return not world.fly.state.apps["web"].live_machines

            async def no_app() -> bool:
                return world.fly.state.apps == {}

            await world.until(healthy)
            assert machine["id"] in await fly("status", "-a", "web")
            assert "secret is there" in await fly("logs", "--no-tail", "-a", "web")
            await fly("machine", "restart", machine["id"], "-a", "web")
            await fly("machine", "update", machine["id"], "-a", "web", "--yes", "--env", "COLOUR=blue")
            assert (await world.show(machine))["config"]["env"]["COLOUR"] == "blue"
            await fly("machine", "stop", machine["id"], "-a", "web", "--wait-timeout", "20s")
            assert "HOSTNAME" in await fly("certs", "list", "-a", "web")
            assert "FlyV1" in await fly("tokens", "create", "deploy", "-a", "web")
            assert "flyctl deploy token" in await fly("tokens", "list", "-a", "web")
            assert "Secaucus" in await fly("platform", "regions")
            assert "ADMIN" in await fly("orgs", "show", "captionacc")
            assert "ATTACHED VM" in await fly("volumes", "list", "-a", "web")
            await fly("machine", "destroy", machine["id"], "-a", "web", "--force")
            # flyctl does not wait, and an app with a machine on its way out is not empty yet.
            await world.until(gone)
            assert "destroyed" in await fly("machine", "status", machine["id"], "-a", "web")
            assert "Pulling" in await fly("logs", "--no-tail", "-a", "web", "--machine", machine["id"])
            assert "Destroyed app web" in await fly("apps", "destroy", "web", "-y")
            await world.until(no_app)
            unknown = [entry for entry in world.fly.core.journal.entries() if entry["status"] == 501]
            assert unknown == []

    asyncio.run(scenario())
