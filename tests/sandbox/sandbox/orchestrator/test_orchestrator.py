"""The sample orchestrator is a real Prefect client, and the Cloud-like workspace takes nothing but its key."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proof.processes import below
from sandbox.cloud.service import Cloud
from sandbox.core.core import Core
from sandbox.core.service import Service
from tests.support.waiting import PATIENCE, until
from toolchain.prefect_env import prefect_python

APP = Path(__file__).resolve().parents[4] / "sandbox" / "orchestrator" / "app.py"
PORT = 8080
pytestmark = pytest.mark.prefect
_addresses = itertools.count(1)


class LiveCloud:
    """The emulated Cloud on an event loop in a thread of its own."""

    def __init__(self, home: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.service = Cloud(Core.in_memory(), home)
        self.run(self.service.start())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run `work` on the loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def close(self) -> None:
        """End everything."""
        self.run(self.service.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def environment(self, **changes: str) -> dict[str, str]:
        """Return what points a Prefect client at the workspace."""
        url = self.service.api_url
        base = {"PREFECT_API_URL": url, "PREFECT_API_KEY": self.service.workspace.key}
        return base | {"PREFECT_CLOUD_API_URL": f"{self.service.url}/api"} | changes


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCloud]:
    cloud = LiveCloud(tmp_path_factory.mktemp("cloud"))
    yield cloud
    cloud.close()


class Orchestrator:
    """A running sample orchestrator."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    def health(self) -> dict[str, Any]:
        """Return the answer of /health, which must come at once."""
        with urllib.request.urlopen(self.url, timeout=600) as answer:  # noqa: S310 - loopback
            body: dict[str, Any] = json.load(answer)
            return body

    def until(self, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until /health says so."""
        deadline = time.monotonic() + PATIENCE
        found: dict[str, Any] = {}
        while time.monotonic() < deadline:
            try:
                found = self.health()
            except (urllib.error.URLError, OSError):
                assert self.process.poll() is None, self.log.read_text()
            if found and what(found):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{found}\n{self.log.read_text()}")


@contextmanager
def _orchestrator(folder: Path, environment: dict[str, str]) -> Iterator[Orchestrator]:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    address = f"127.{100 + worker}.{os.getpid() % 250}.{next(_addresses)}"
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(prefect_python()), str(APP)],
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder), "HOST": address} | environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield Orchestrator(process, f"http://{address}:{PORT}/health", log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE)
    assert code in {0, -signal.SIGKILL}
    assert not [left for left in folder.iterdir() if left.name.startswith("orchestrator-") and code == 0]


def _prefect(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda health: health["components"]["prefect"] == state


def test_ephemeral(tmp_path: Path) -> None:
    """Without any of the variables it says not_configured at once and runs its flow in ephemeral mode."""
    with _orchestrator(tmp_path, {}) as app:
        first = app.until(_prefect("not_configured"))
        assert first["status"] == "healthy"
        done = app.until(lambda health: health["flows"]["last_run"] is not None)
        assert done["flows"] == {"mode": "ephemeral", "last_run": "COMPLETED"}
        assert _prefect("not_configured")(done)
        assert "Starting temporary server" in app.log.read_text()
        only = {app.process.pid}
        until(lambda: below(app.process.pid) == only, lambda: "the flows' process was not done after its one run")
        assert "Fatal" not in app.log.read_text()


def test_served(cloud: LiveCloud, tmp_path: Path) -> None:
    """With URL and key it is healthy, serves its flow, and the run it triggers is on the server with its task runs."""
    with _orchestrator(tmp_path, cloud.environment()) as app:
        app.until(_prefect("unhealthy"))
        done = app.until(lambda health: health["flows"]["last_run"] is not None)
        assert done["components"]["prefect"] == "healthy"
        assert done["flows"] == {"mode": "server", "last_run": "COMPLETED"}
        # Longer than one call may take: no limit of a call may end the connection that the calls share.
        until = time.monotonic() + 12
        while time.monotonic() < until:
            assert app.health()["components"]["prefect"] == "healthy"
            time.sleep(0.2)

    async def task_runs() -> list[str]:
        headers = {"Authorization": f"Bearer {cloud.service.workspace.key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            while True:
                async with session.post(f"{cloud.service.api_url}/task_runs/filter", json={}) as answer:
                    states = [each["state_type"] for each in await answer.json()]
                    # They travel as events, behind the flow run's own state.
                    if states.count("COMPLETED") >= 2:
                        return states

    assert set(cloud.run(asyncio.wait_for(task_runs(), PATIENCE))) == {"COMPLETED"}


def test_wrong_key(cloud: LiveCloud, tmp_path: Path) -> None:
    """With a wrong key it is unhealthy and stays so; /health still answers, as objects when asked to."""
    wrong = cloud.environment(PREFECT_API_KEY="pnu_wrong", ORCHESTRATOR_HEALTH_SHAPE="object")
    with _orchestrator(tmp_path, wrong) as app:
        found = app.until(lambda health: "StatusError" in health["detail"])
        assert found["components"]["prefect"] == {"status": "unhealthy"}
        assert found["status"] == "degraded"


def test_server_comes_and_goes(cloud: LiveCloud, tmp_path: Path) -> None:
    """A server that is not there yet, or goes away, makes it unhealthy; it recovers by itself afterwards."""
    service, port = cloud.service, cloud.service.port or 0
    environment = cloud.environment()
    cloud.run(Service.stop(service))  # the port only: the server behind it need not boot again
    try:
        with _orchestrator(tmp_path, environment) as app:
            app.until(lambda health: health["detail"] not in {"", "starting"})
            cloud.run(service.start(port))
            app.until(_prefect("healthy"))
            cloud.run(Service.stop(service))
            app.until(_prefect("unhealthy"))
            cloud.run(service.start(port))
            app.until(_prefect("healthy"))
    finally:
        cloud.run(Service.stop(service))
        cloud.run(service.start(port))


@pytest.mark.parametrize(("behaviour", "state"), [("stays-unhealthy", "unhealthy"), ("never-calls", "healthy")])
def test_bad_examples(behaviour: str, state: str, tmp_path: Path) -> None:
    """Asked to misbehave it says the scripted thing while configured, and the truth when it is not."""
    bad = {"ORCHESTRATOR_BEHAVIOUR": behaviour, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    with _orchestrator(tmp_path, bad) as app:
        app.until(_prefect(state))
    with _orchestrator(tmp_path, {"ORCHESTRATOR_BEHAVIOUR": behaviour}) as app:
        app.until(_prefect("not_configured"))


def test_killed_leaves_nothing(cloud: LiveCloud, tmp_path: Path) -> None:
    """Killed outright, its flows' process ends by itself."""
    with _orchestrator(tmp_path, cloud.environment()) as app:
        app.until(_prefect("healthy"))
        children = below(app.process.pid) - {app.process.pid}
        assert children
        app.process.kill()
        app.process.wait(PATIENCE)
        until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))


@pytest.mark.parametrize(
    "authorization", ["", "Bearer pnu_wrong", "Basic b3JjaGVzdHJhdG9yOmtleQ==", "Basic {key}", "Bearer {key}x"]
)
def test_cloud_refuses(cloud: LiveCloud, authorization: str) -> None:
    """No key, a wrong one and basic authentication are 401, before any server is asked."""

    async def call() -> int:
        headers = {"Authorization": authorization.format(key=cloud.service.workspace.key)}
        async with aiohttp.ClientSession() as session:
            url = f"{cloud.service.api_url}/flows/filter"
            async with session.post(url, json={}, headers=headers) as answer:
                return answer.status

    assert cloud.run(call()) == 401


def test_cloud_socket_needs_the_key(cloud: LiveCloud) -> None:
    """A websocket without the key in header or first message is closed with 1008; with it, either way, it opens."""

    async def close_code(headers: dict[str, str], token: str | None) -> int | None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                f"{cloud.service.api_url}/events/out", headers=headers, protocols=("prefect",)
            ) as connection,
        ):
            await connection.send_json({"type": "auth", "token": token})
            message = await connection.receive(timeout=600)
            if message.type is aiohttp.WSMsgType.TEXT:
                assert json.loads(message.data) == {"type": "auth_success"}
                return None
            return connection.close_code

    key = cloud.service.workspace.key
    assert cloud.run(close_code({}, None)) == 1008
    assert cloud.run(close_code({}, "pnu_wrong")) == 1008
    assert cloud.run(close_code({}, key)) is None
    assert cloud.run(close_code({"Authorization": f"bearer {key}"}, None)) is None


def test_cloud_knows_one_workspace(cloud: LiveCloud) -> None:
    """Another workspace, the server's administration and unknown routes are not there."""

    async def statuses() -> list[int]:
        service = cloud.service
        headers = {"Authorization": f"Bearer {service.workspace.key}"}
        found = []
        async with aiohttp.ClientSession(headers=headers) as session:
            for url in (
                f"{service.url}/api/accounts/x/workspaces/y/flows",
                f"{service.api_url}/admin/settings",
                f"{service.url}/api/other",
                f"{service.url}/api/me/workspaces",
            ):
                async with session.get(url) as answer:
                    found.append(answer.status)
        return found

    assert cloud.run(statuses()) == [404, 404, 501, 200]
