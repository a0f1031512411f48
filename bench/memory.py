"""What 200 flow runs need of a 256 MB machine, without and with an asset written by each.

Run `nice .venv/bin/python -m toolchain run .venv/bin/python -m bench.memory` where Docker answers. The image in a
container of 256 MB and 512 MB swap, a real Postgres outside, ten runs at a time; each case has a container of its own.
Memory is what the container's control group counts less the files that it could drop at once, looked at all the time.
"""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import requests
from docker.models.containers import Container

from sandbox.postgres import PostgresServer
from tests.support.containers import MEGABYTE, container, made, require_docker, wait_until_ready
from tests.support.postgres import running_postgres
from tests.support.prefect_server import SOURCE, Program, database_environment, hashed, result_of, run_client

RUNS, TOGETHER = "200", "10"
# The lineage is filled within five seconds of an event, which Prefect itself writes every five.
REST_SECONDS = 15
LOAD = SOURCE.parents[1] / "tests" / "image" / "clients" / "load.py"
CASES = ((), ("assets",))


class Watch:
    """Looks at a container's memory until it is told to stop; `peak` and `swap` are the most that it saw, MiB."""

    def __init__(self, serving: Container) -> None:
        self._serving, self._over = serving, threading.Event()
        self.peak, self.swap = 0.0, 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """MiB in use."""
        seen: Any = self._serving.stats(stream=False)
        memory, detail = seen["memory_stats"], seen["memory_stats"]["stats"]
        used = memory["usage"] - detail.get("total_inactive_file", detail.get("inactive_file", 0))
        self.swap = max(self.swap, detail.get("total_swap", detail.get("swap", 0)) / MEGABYTE)
        self.peak = max(self.peak, used / MEGABYTE)
        return float(used / MEGABYTE)

    def _look(self) -> None:
        while not self._over.is_set():
            self.now()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()


def measure(engine: docker.DockerClient, image: str, postgres: PostgresServer, case: tuple[str, ...]) -> str:
    """Serve, load, and say what was seen."""
    with tempfile.TemporaryDirectory() as folder, postgres.database() as url:
        program = Program(
            Path(folder), database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed({"admin": "a-key"})}
        )
        environ = {
            **program.environ,
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(program.port),
            "PREFECT_FLY_METRICS_PORT": str(program.metrics_port),
        }
        with container(engine, image, "migrate", environ, memory=1024, swap=0) as migration:
            if migration.wait()["StatusCode"]:
                raise SystemExit(migration.logs().decode())
        with container(engine, image, "serve", environ, memory=256, swap=512) as serving:
            wait_until_ready(program, serving)
            watch = Watch(serving)
            idle = watch.now()
            client = program.client_environment(PREFECT_API_KEY="a-key", PREFECT_API_AUTH_STRING="admin:a-key")
            done = result_of(run_client(LOAD, client, RUNS, TOGETHER, *case))
            time.sleep(REST_SECONDS)
            for page in ("/lineage", "/v2/", "/api/lineage"):
                requests.get(
                    program.url + page, headers={"Authorization": "Bearer a-key"}, timeout=600
                ).raise_for_status()
            kept = postgres.execute("SELECT count(*) FROM prefect_fly.asset_run", url.rpartition("/")[2].split("?")[0])
            after = watch.now()
            watch.stop()
            serving.reload()
        return (
            f"{' '.join(case) or 'plain'}: {done['completed']} done in {done['seconds']} s, {kept} runs of assets; "
            f"MiB idle {idle:.0f}, peak {watch.peak:.0f}, after {after:.0f}, swap {watch.swap:.0f}; "
            f"killed for memory: {serving.attrs['State']['OOMKilled']}"
        )


def main() -> None:
    """Measure each case and print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_postgres(Path(folder) / "postgres") as postgres,
        closing(docker.DockerClient(base_url=require_docker(), version="auto", timeout=600)) as engine,
    ):
        image = made(engine, SOURCE)
        for case in CASES:
            print(measure(engine, image, postgres, case), flush=True)


if __name__ == "__main__":
    main()
