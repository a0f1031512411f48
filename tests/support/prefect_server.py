"""Runs docker/prefect's verbs and stock Prefect clients as the real processes they are, from the image's own lock."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from sandbox.core.ports import free_port
from tests.support.postgres import prefect_url
from tests.support.waiting import PATIENCE, until
from toolchain.prefect_env import prefect_python

SOURCE = Path(__file__).resolve().parents[2] / "docker" / "prefect"
STOP_SECONDS = PATIENCE


def hashed(keys: Mapping[str, str]) -> str:
    """The value of PREFECT_FLY_API_KEYS for these names and keys."""
    return json.dumps({name: hashlib.sha256(key.encode()).hexdigest() for name, key in keys.items()})


def plain_environment(home: Path) -> dict[str, str]:
    """This process's environment without anything that Prefect or the image would read."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "COV_"))}
    return kept | {"HOME": str(home), "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", "TMPDIR": str(home)}


def answers(url: str) -> bool:
    """Tell whether a GET is answered with success; whoever cannot be reached does not answer."""
    with suppress(requests.ConnectionError, requests.Timeout):
        return requests.get(url, timeout=600).ok
    return False


def run_verb(
    verb: str, home: Path, environ: Mapping[str, str], *, timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return subprocess.run(
        [prefect_python(), "-m", "prefect_server", verb],
        cwd=SOURCE,
        env={**plain_environment(home), **environ},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def database_environment(url: str) -> dict[str, str]:
    """The environment every verb needs."""
    return {"PREFECT_SERVER_DATABASE_CONNECTION_URL": prefect_url(url)}


@dataclass
class Program:
    """A verb that keeps running: `serve` or `services`."""

    home: Path
    environ: Mapping[str, str]
    verb: str = "serve"
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's address without a trailing slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """PREFECT_API_URL of this server."""
        return f"{self.url}/api"

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self.process is not None
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything the program wrote."""
        path = self.home / f"{self.verb}-{self.port}.log"
        return path.read_text() if path.exists() else ""

    def start(self) -> None:
        """Start the program; returns at once."""
        listening = {
            "PREFECT_SERVER_API_HOST": "127.0.0.1",
            "PREFECT_SERVER_API_PORT": str(self.port),
            "PREFECT_FLY_METRICS_PORT": str(self.metrics_port),
        }
        with (self.home / f"{self.verb}-{self.port}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [prefect_python(), "-m", "prefect_server", self.verb],
                cwd=SOURCE,
                env={**plain_environment(self.home), **listening, **self.environ},
                stdout=log,
                stderr=log,
            )

    def wait_ready(self) -> None:
        """Return when the server is ready (`services`: when its metrics answer)."""
        path = f"{self.api_url}/ready" if self.verb == "serve" else f"http://127.0.0.1:{self.metrics_port}/metrics"

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log
            return answers(path)

        until(ready, lambda: f"not ready:\n{self.log}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the program and return its status as Popen gives it."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def client_environment(self, **environ: str) -> dict[str, str]:
        """The environment of a stock client of this server."""
        return plain_environment(self.home) | {
            "PREFECT_API_URL": self.api_url,
            "PREFECT_HOME": str(self.home / "client"),
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "DO_NOT_TRACK": "1",
            **environ,
        }


@contextmanager
def running(program: Program) -> Iterator[Program]:
    """Run a program and end it."""
    program.start()
    try:
        program.wait_ready()
        yield program
    finally:
        program.stop()


def run_client(
    script: Path, environ: Mapping[str, str], *args: str, python: Path | None = None, timeout: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run a client script with a stock Prefect; it prints one JSON line last."""
    return subprocess.run(
        [python or prefect_python(), script, *args],
        env=dict(environ),
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """The JSON a client script printed last."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    content = json.loads(done.stdout.strip().splitlines()[-1])
    assert isinstance(content, dict)
    return content
