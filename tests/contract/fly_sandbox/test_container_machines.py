from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import docker
import pytest

from sandbox.core.clock import Clock
from sandbox.core.core import Core
from sandbox.core.journal import Journal
from sandbox.core.store import Store
from sandbox.fly import Fly
from sandbox.images import Images
from sandbox.machines.container import ContainerDriver
from tests.contract.fly_sandbox.conftest import WEB_PROGRAM, World
from tests.support.containers import require_docker
from toolchain.base_image import ensure_base
from toolchain.registry import running_registry

pytestmark = pytest.mark.containers

_EATER = 'x = []\nprint("eating", flush=True)\nwhile True: x.append(b"1" * 1000000)\n'


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Push an image with the web program to a registry of our own; gives the engine's address and the reference."""
    host = require_docker()
    with running_registry(tmp_path_factory.mktemp("registry")) as registry:
        client = docker.DockerClient(base_url=host, timeout=600)
        repository = f"{registry.address}/web-container"
        client.images.build(fileobj=_context(ensure_base(host)), custom_context=True, tag=f"{repository}:1", rm=True)
        client.images.push(repository, tag="1")
        digest = client.images.get_registry_data(f"{repository}:1").id
        client.images.remove(f"{repository}:1", force=True)
        yield host, f"{repository}@{digest}"
        client.close()


def _context(base: str) -> io.BytesIO:
    dockerfile = f'FROM {base}\nCOPY *.py /\nUSER 1000\nENTRYPOINT ["python3", "/web_program.py"]\n'
    files = {"Dockerfile": dockerfile.encode(), "web_program.py": WEB_PROGRAM.read_bytes(), "eat.py": _EATER.encode()}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def _run(folder: Path, host: str, scenario: Any) -> None:
    async def world() -> None:
        clock = Clock()
        core = Core(clock=clock, journal=Journal(clock), store=Store(None))
        driver = await asyncio.to_thread(ContainerDriver, Images(), folder, host)
        fly = Fly(core, driver)
        await fly.start()
        try:
            async with aiohttp.ClientSession() as session:
                await scenario(World(fly, session))
        finally:
            await fly.stop()

    asyncio.run(world())


def test_a_machine_is_a_container_with_its_limits(pushed: tuple[str, str], tmp_path: Path) -> None:
    """The pushed image runs by digest with memory and swap limit, answers, is stopped by signal, and is removed."""
    host, image = pushed
    client = docker.DockerClient(base_url=host)

    async def scenario(world: World) -> None:
        await world.app()
        await world.call("POST", "/apps/web/secrets", {"values": {"GREETING": "canary-77aa"}})
        check = {"type": "http", "path": "/health", "interval": "200ms", "grace_period": "30s"}
        config = {
            "image": image,
            "init": {"swap_size_mb": 512},
            "guest": {"memory_mb": 256},
            "services": [{"internal_port": 8080, "checks": [check]}],
            "stop_config": {"signal": "SIGTERM", "timeout": "5s"},
        }
        machine = await world.machine(config=config, min_secrets_version=1)

        async def healthy() -> bool:
            checks = (await world.show(machine))["checks"]
            return bool(checks) and checks[0]["status"] == "passing"

        await world.until(healthy)
        containers = [each for each in client.containers.list() if machine["id"] in (each.name or "")]
        limits = containers[0].attrs["HostConfig"]
        assert (limits["Memory"], limits["MemorySwap"]) == (256 << 20, 768 << 20)
        assert limits["NetworkMode"] == "host"
        async with aiohttp.ClientSession() as session, session.get(f"http://{machine['private_ip']}:8080/") as reply:
            assert json.loads(await reply.text())["greeting"] == "canary-77aa"
        path = f"/apps/web/machines/{machine['id']}"
        command = await world.call("POST", f"{path}/exec", {"cmd": "cat /eat.py"})
        assert command.body["stdout"] == _EATER
        reading = await world.call("POST", f"{path}/exec", {"command": ["cat"], "stdin": "read and ended"})
        assert (reading.body["exit_code"], reading.body["stdout"]) == (0, "read and ended")
        await world.call("POST", f"{path}/stop")
        await world.call("GET", f"{path}/wait?state=stopped&timeout=30")
        assert "leaving on SIGTERM" in world.fly.logs.text("web", machine["id"])
        assert not [each for each in client.containers.list(all=True) if machine["id"] in (each.name or "")]

    _run(tmp_path, host, scenario)
    client.close()


def test_memory_that_runs_out_and_an_image_that_is_missing(pushed: tuple[str, str], tmp_path: Path) -> None:
    """A program over its limit ends oom_killed in its exit event; a digest the registry lacks is MANIFEST_UNKNOWN."""
    host, image = pushed

    async def scenario(world: World) -> None:
        await world.app()
        config = {
            "image": image,
            "init": {"entrypoint": ["python3"], "cmd": ["/eat.py"]},
            "restart": {"policy": "no"},
        }
        machine = await world.machine(config=config)

        async def ended() -> bool:
            return bool((await world.show(machine))["state"] == "stopped")

        await world.until(ended)
        exit_event = (await world.show(machine))["events"][0]["request"]["exit_event"]
        assert exit_event["oom_killed"] is True
        lost = {"config": {"image": image[:-8] + "00000000"}}
        refused = await world.call("POST", "/apps/web/machines", lost)
        assert (refused.status, "MANIFEST_UNKNOWN" in refused.body["error"]) == (400, True)

    _run(tmp_path, host, scenario)


def test_all_that_a_machine_printed_is_in_its_log_when_it_has_ended(pushed: tuple[str, str], tmp_path: Path) -> None:
    """A program that prints much and ends at once: its last lines, which say why, are there as its first ones are."""
    host, image = pushed
    lines = [f"line {number:1000}" for number in range(4000)]
    code = 'print(*(f"line {number:1000}" for number in range(4000)), sep="\\n")'

    async def scenario(world: World) -> None:
        await world.app()
        init = {"entrypoint": ["python3"], "cmd": ["-c", code]}
        machine = await world.machine(config={"image": image, "init": init, "restart": {"policy": "no"}})

        async def ended() -> bool:
            return bool((await world.show(machine))["state"] == "stopped")

        await world.until(ended)
        printed = world.fly.logs.text("web", machine["id"]).splitlines()
        assert [line for line in printed if line.startswith("line ")] == lines

    _run(tmp_path, host, scenario)
