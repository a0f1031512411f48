from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.images import Command, ProgramError
from sandbox.machines.process import ProcessDriver
from tests.contract.fly_sandbox.conftest import World, WorldFactory

_ROOT = Path(__file__).resolve().parents[3]


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


def test_the_edge_opens_late_and_routes_to_the_machine(fly_world: WorldFactory) -> None:
    """Before there is an address and a machine the port refuses; then requests arrive with Fly's headers."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.2) as world:
            url = world.fly.edge.url_of("web")
            with pytest.raises(aiohttp.ClientConnectorError):
                await fetch(url)
            machines = await serving(world)
            status, text, headers = await fetch(f"{url}/")
            assert (status, json.loads(text)["machine"]) == (200, machines[0]["id"])
            assert headers["fly-request-id"]
            assert headers["fly-sandbox-force-https"] == "would redirect"
            seen = json.loads((await fetch(f"{url}/headers"))[1])
            assert seen["fly-client-ip"] == "127.0.0.1"
            assert seen["fly-region"] == "ewr"
            gateway = f"http://127.0.0.1:{world.fly.edge.gateway_port}/"
            assert (await fetch(gateway, headers={"Host": "web.fly.localhost"}))[0] == 200
            assert (await fetch(gateway, headers={"Host": "nobody.fly.localhost"}))[0] == 404

    asyncio.run(scenario())


def test_the_edge_shuts_when_the_address_is_released(fly_world: WorldFactory) -> None:
    """Without an address the port refuses again, and it is the same port when an address is back."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            await serving(world)
            url = world.fly.edge.url_of("web")
            assert (await fetch(f"{url}/"))[0] == 200
            await world.call("DELETE", "/apps/web/ip_assignments/66.241.125.7")
            with pytest.raises(aiohttp.ClientConnectorError):
                await fetch(url)
            await world.call("POST", "/apps/web/ip_assignments", {"type": "shared_v4"})

            async def is_open() -> bool:
                return world.fly.edge.is_open("web")

            await world.until(is_open)
            assert (await fetch(f"{url}/"))[0] == 200
            assert world.fly.edge.url_of("web") == url

    asyncio.run(scenario())


def test_bodies_streams_and_cut_answers_pass_as_they_are(fly_world: WorldFactory) -> None:
    """A large body arrives whole, a stream arrives in parts, and a machine that hangs up gives 502, not a retry."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            await serving(world, 2)
            url = world.fly.edge.url_of("web")
            body = "x" * 3_000_000
            assert (await fetch(f"{url}/echo", method="POST", data=io.BytesIO(body.encode())))[1] == body
            now = asyncio.get_running_loop().time
            async with aiohttp.ClientSession() as session, session.get(f"{url}/stream") as reply:
                times = [now() async for _ in reply.content]
            assert len(times) == 3
            assert times[2] - times[0] > 0.3
            assert (await fetch(f"{url}/cut"))[0] == 502

    asyncio.run(scenario())


def test_an_instance_can_be_asked_for_and_unhealthy_or_cordoned_ones_get_nothing(fly_world: WorldFactory) -> None:
    """fly-force-instance-id picks a machine; a cordoned one gets no requests; with none left the answer is 503."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            first, second = await serving(world, 2)
            url = f"{world.fly.edge.url_of('web')}/"
            seen = {json.loads((await fetch(url))[1])["machine"] for _ in range(4)}
            assert seen == {first["id"], second["id"]}
            forced = {"fly-force-instance-id": second["id"]}
            assert {json.loads((await fetch(url, headers=forced))[1])["machine"] for _ in range(3)} == {second["id"]}
            await world.call("POST", f"/apps/web/machines/{second['id']}/cordon")
            assert {json.loads((await fetch(url))[1])["machine"] for _ in range(3)} == {first["id"]}
            assert (await fetch(url, headers=forced))[0] == 503
            sick = {"config": config_of(env={"UNHEALTHY": "1"}, image=first["config"]["image"])}
            await world.call("POST", f"/apps/web/machines/{first['id']}", sick)

            async def warned() -> bool:
                checks = (await world.show(first))["checks"]
                return bool(checks) and checks[0]["output"].startswith("HTTP 503")

            await world.until(warned)
            assert (await world.show(first))["checks"][0]["status"] == "warning"
            assert (await fetch(url))[0] == 503

    asyncio.run(scenario())


def test_a_rolling_update_of_two_machines_loses_no_request(fly_world: WorldFactory) -> None:
    """All requests sent while one machine after the other is replaced are answered 200."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            machines = await serving(world, 2)
            url = f"{world.fly.edge.url_of('web')}/"
            codes: list[int] = []
            over = asyncio.Event()

            async def load() -> None:
                while not over.is_set():
                    codes.append((await fetch(url))[0])
                    await asyncio.sleep(0.02)

            clients = [asyncio.create_task(load()) for _ in range(2)]
            for machine in machines:
                body = {"config": {**machine["config"], "env": {"NEW": "1"}}}
                updated = (await world.call("POST", f"/apps/web/machines/{machine['id']}", body)).body
                await world.call("GET", f"/apps/web/machines/{machine['id']}/wait?version={updated['instance_id']}")
                await healthy(world, machine)
            over.set()
            await asyncio.gather(*clients)
            assert len(codes) > 40
            assert set(codes) == {200}

    asyncio.run(scenario())


def test_a_stopped_machine_leaves_no_process_behind(fly_world: WorldFactory) -> None:
    """Stop ends program and children by signal; one that ignores signals is killed after the timeout."""

    async def scenario() -> None:
        async with fly_world("process") as world:
            await world.app()
            for arguments, line, code in ([], "leaving on SIGTERM", 0), (["ignore"], "child", 137):
                stop = {"signal": "SIGTERM", "timeout": "500ms"}
                machine = await world.machine(config={"init": {"cmd": arguments}, "stop_config": stop})
                path = f"/apps/web/machines/{machine['id']}"

                async def logged(machine_id: str = machine["id"]) -> bool:
                    return "child " in world.fly.logs.text("web", machine_id)

                await world.until(logged)
                child = int(world.fly.logs.text("web", machine["id"]).split("child ")[1].split()[0])
                assert not await _gone(child)
                await world.call("POST", f"{path}/stop")
                assert (await world.call("GET", f"{path}/wait?state=stopped&timeout=20")).status == 200
                assert line in world.fly.logs.text("web", machine["id"])
                assert (await world.show(machine))["events"][0]["request"]["exit_event"]["exit_code"] == code
                await world.until(lambda pid=child: _gone(pid))  # type: ignore[misc]

    asyncio.run(scenario())


async def _gone(pid: int) -> bool:
    return _state_of(pid) in {"", "Z"}


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _command_lines() -> list[bytes]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may have ended since it was listed
            lines.append(path.read_bytes())
    return lines


def test_secrets_are_in_the_environment_and_never_in_argv(fly_world: WorldFactory) -> None:
    """The program sees its secret; no command line of this computer and no journal line holds it."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            await world.app("web", "shared_v4")
            await world.call("POST", "/apps/web/secrets", {"values": {"GREETING": "canary-5f1c"}})
            machine = await world.machine(config=config_of(), min_secrets_version=1)
            await healthy(world, machine)
            text = (await fetch(f"http://{machine['private_ip']}:8080/"))[1]
            assert json.loads(text)["greeting"] == "canary-5f1c"
            lines = _command_lines()
            assert any(b"web_program.py" in line for line in lines)
            assert not [line for line in lines if b"canary-5f1c" in line]
            journal = world.fly.core.journal.path
            assert journal is not None
            assert "canary-5f1c" not in journal.read_text()

    asyncio.run(scenario())


def test_a_command_can_be_run_in_a_machine(fly_world: WorldFactory) -> None:
    """Exec runs in the machine's environment and gives exit code and output."""

    async def scenario() -> None:
        async with fly_world("process") as world:
            await world.app()
            machine = await world.machine(config={"env": {"COLOUR": "blue"}})
            path = f"/apps/web/machines/{machine['id']}"
            await world.call("GET", f"{path}/wait?state=started")
            reply = await world.call("POST", f"{path}/exec", {"cmd": "sh -c 'echo $COLOUR; exit 3'"})
            assert (reply.body["exit_code"], reply.body["stdout"]) == (3, "blue\n")

    asyncio.run(scenario())


def test_a_killed_sandbox_leaves_no_program_running(tmp_path: Path) -> None:
    """When the sandbox itself is killed, the kernel ends the machines' programs: no port stays taken."""
    script = f"""
import asyncio, pathlib, sys
from sandbox.images import Command, Images
from sandbox.machines.driver import Launch
from sandbox.machines.process import ProcessDriver

async def main():
    images = Images()
    images.register("sleep", lambda _: Command((sys.executable, "-c", "import time; time.sleep(600)")))
    driver = ProcessDriver(images, pathlib.Path({str(tmp_path)!r}))
    launch = Launch(app="a", machine_id="m", image="x.io/sleep", arguments=(), environment={{}}, private_ip="127.0.0.1")
    program = await driver.boot(launch, print)
    print(program._process.pid, flush=True)
    await program.wait()

asyncio.run(main())
"""
    sandbox = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    assert sandbox.stdout is not None
    with sandbox.stdout:
        pid = int(sandbox.stdout.readline())
        assert _state_of(pid) not in {"", "Z"}
        sandbox.kill()
        sandbox.wait()
    deadline = time.monotonic() + 10
    while _state_of(pid) not in {"", "Z"}:
        assert time.monotonic() < deadline, "the program outlived its sandbox"
        os.sched_yield()


def test_a_program_that_cannot_be_had_fails_the_machine(fly_world: WorldFactory) -> None:
    """What keeps a program from running is in the machine's event and log, and the machine has failed."""

    async def scenario() -> None:
        async with fly_world("process") as world:
            await world.app()

            def unavailable(_arguments: object) -> Command:
                raise ProgramError("could not make the environment: no index answers")

            assert isinstance(world.fly.driver, ProcessDriver)
            world.fly.driver._images.register("webless", unavailable)
            machine = await world.machine(config={"image": "registry.example.com/webless:1"})

            async def failed() -> bool:
                return bool((await world.show(machine))["state"] == "failed")

            await world.until(failed)
            assert "no index answers" in world.fly.logs.text("web", machine["id"])

    asyncio.run(scenario())
