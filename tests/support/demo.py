"""The demo's commands on a home of its own, and what is looked at around them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from sandbox.demo.stack import ROOT, Stack
from sandbox.demo.world import World
from tests.support.waiting import until


class Demo:
    """The demo's commands on a home of its own."""

    def __init__(self, home: Path, driver: str) -> None:
        self.home, self._driver = home, driver

    def run(self, verb: str, **environment: str) -> str:
        """Run `python -m sandbox.demo <verb>`; it must succeed."""
        argv = [sys.executable, "-m", "sandbox.demo", "--home", str(self.home), "--driver", self._driver, verb]
        done = self._run(argv, **environment)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self) -> dict[str, object]:
        """What the sandbox holds."""
        done = self._run([sys.executable, "-m", "sandbox", "--home", str(self.home), "status", "--json"])
        loaded: dict[str, object] = json.loads(done.stdout)
        return loaded

    def seen(self) -> dict[str, Any]:
        """What `python -m ops status` says of the demo's stack, with the first person's login."""
        stack = Stack(self.home, World(self.home).environment())
        login = str(stack.outputs()["uiLogin"])
        argv = [sys.executable, "-m", "ops", "status", "sandbox", "--json"]
        done = self._run(argv, **stack.environment(), PREFECT_FLY_VERIFY_KEY=login)
        assert done.returncode == 0, done.stdout + done.stderr
        assert login.partition(":")[2] not in done.stdout + done.stderr
        loaded: dict[str, Any] = json.loads(done.stdout)
        return {part["part"]: part for part in loaded["parts"]}

    def runs(self) -> list[str]:
        """State and number of tasks of every flow run that Postgres holds."""
        sql = (
            "SELECT f.state_type || ':' || (SELECT count(*) FROM prefect.task_run t WHERE t.flow_run_id = f.id "
            "AND t.state_type = 'COMPLETED') FROM prefect.flow_run f WHERE f.state_type = 'COMPLETED'"
        )
        return asyncio.run(self._fetch(sql))

    async def _fetch(self, sql: str) -> list[str]:
        environment = World(self.home).environment()
        tls = ssl.create_default_context(cafile=environment["SANDBOX_DATABASE_CA_FILE"])
        connection = await asyncpg.connect(environment["SANDBOX_DATABASE_URL"].partition("?")[0], ssl=tls)
        try:
            return [str(row[0]) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    def processes(self) -> dict[int, str]:
        """The live processes whose environment or command line names this demo's home, with their command lines."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                text = (folder / "environ").read_bytes() + command
            except OSError:
                continue
            if os.fsencode(self.home) in text and int(folder.name) != os.getpid():
                found[int(folder.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def _run(self, argv: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **environment}
        return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=1200)


@contextmanager
def running_demo(home: Path, driver: str) -> Iterator[Demo]:
    """Give the demo's commands; end what they started, and see that nothing of it is left."""
    demo = Demo(home, driver)
    try:
        yield demo
    finally:
        demo.run("stop")
        left = demo.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, left


def up_rollback_up(demo: Demo) -> None:
    """Check the demo's whole promise, once."""
    shown = demo.run("up")
    assert 'components.prefect is "healthy"' in shown
    assert "deploy-orchestrator.yml: success" in shown
    assert "api/ready every 180 s: up" in shown
    assert demo.run("up").count("Nothing had to change") == 1
    seen = demo.seen()
    assert seen["server"]["prefect"] == "3.8.8"
    assert seen["key orchestrator"]["accepted"] > 0
    assert seen["database"]["size_bytes"] > 5_000_000
    assert (seen["redeploy"]["conclusion"], seen["monitor"]["status"]) == ("success", "up")
    # The orchestrator starts its run when it has the server; up does not wait for the run's end.
    until(lambda: "COMPLETED:5" in demo.runs())
    runs = demo.runs()
    # The rollback must not need Docker: neither the image's plugin nor anything else.
    rolled_back = demo.run("rollback", DOCKER_HOST="unix:///nonexistent.sock")
    assert "Nothing of the server is left" in rolled_back
    assert rolled_back.index("PREFECT_API_KEY") < rolled_back.index("/dispatches") < rolled_back.index("/cordon")
    status = demo.status()
    assert [app["name"] for app in status["fly"]["apps"]] == ["captionacc-orchestrator"]  # type: ignore[index]
    assert set(runs) <= set(demo.runs())
    demo.run("up")
    until(lambda: len(demo.runs()) > len(runs))
