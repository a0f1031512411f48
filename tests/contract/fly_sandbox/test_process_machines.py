from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from proof.processes import running
from sandbox.images import Command, Images, ProgramError
from sandbox.machines.driver import Exit, Launch, Log
from sandbox.machines.process import ProcessDriver
from tests.contract.fly_sandbox.conftest import WorldFactory
from tests.contract.fly_sandbox.serving import config_of, fetch, healthy
from tests.support.waiting import PATIENCE, until

_ROOT = Path(__file__).resolve().parents[3]


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
    return not running(pid)


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
        assert running(pid)
        sandbox.kill()
        sandbox.wait()
    until(lambda: not running(pid), lambda: "the program outlived its sandbox")


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


def _run_to_its_end(folder: Path, code: str, log: Log) -> Exit:
    async def boot() -> Exit:
        images = Images()
        images.register("script", lambda _: Command((sys.executable, "-c", code)))
        launch = Launch(
            app="a", machine_id="m", image="x.io/script", arguments=(), environment={}, private_ip="127.0.0.1"
        )
        program = await ProcessDriver(images, folder).boot(launch, log)
        async with asyncio.timeout(PATIENCE):
            return await program.wait()

    return asyncio.run(boot())


def test_all_that_a_program_printed_is_in_its_log_when_it_has_ended(tmp_path: Path) -> None:
    """Every line as it was printed, up to the last one, which says why the program ended and has no line end."""
    printed: list[str] = []
    code = r"print('\n'.join([*(str(n) + 'ü' * 1000 + '\r' for n in range(1000)), 'the end']), end='')"
    _run_to_its_end(tmp_path, code, printed.append)
    assert printed == [*(str(number) + "ü" * 1000 for number in range(1000)), "the end"]


def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    """A program that never ends its line does not fill the sandbox's memory: what comes is logged in pieces."""
    printed: list[str] = []
    _run_to_its_end(tmp_path, "print('€' * 1_000_000)", printed.append)
    assert len(printed) > 1
    assert set("".join(printed)) == {"€"}
    assert max(map(len, printed)) <= 16_384


def test_a_process_that_left_the_group_does_not_hold_the_machines_end(tmp_path: Path) -> None:
    """A daemon that keeps the output open: the machine ends with its program, and its log has all the program said."""
    daemon = f"[{sys.executable!r}, '-c', 'import time; time.sleep(600)']"
    code = f"import subprocess, sys; print(subprocess.Popen({daemon}, start_new_session=True).pid); sys.exit(3)"
    printed: list[str] = []
    end = _run_to_its_end(tmp_path, code, printed.append)
    [pid] = map(int, printed)
    assert end.code == 3
    assert running(pid)
    os.kill(pid, signal.SIGKILL)
