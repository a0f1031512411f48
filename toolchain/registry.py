"""A real image registry on loopback, built from its Go module; for pushes in the demo and in tests."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from toolchain import gobuild, pins
from toolchain.errors import BuildFailedError

_START_SECONDS = 120.0
_LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")


@dataclass(frozen=True)
class Registry:
    """A registry that runs.

    Attributes:
        address: host and port, the first part of an image's name; Docker takes a loopback registry without TLS.
        pid: its process; end it with `stop` or by this number.
    """

    address: str
    pid: int
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it and wait until it has ended."""
        self.process.terminate()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(data: Path, *, port: int = 0, login: tuple[str, str] | None = None) -> Registry:
    """Start a registry that keeps its images under a folder; it may be started again on the same folder.

    Args:
        data: where images, configuration and log are kept.
        port: 0 takes a free one.
        login: user name and password that pushes and pulls must give; nobody is asked without it.

    Raises:
        ToolchainError: it could not be built, or did not start to listen.
    """
    binary = gobuild.build(pins.REGISTRY) / pins.REGISTRY.binary
    data.mkdir(parents=True, exist_ok=True)
    log = data / "registry.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [binary, "serve", _write_config(data, port, login)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={"PATH": os.environ.get("PATH", ""), "OTEL_TRACES_EXPORTER": "none"},
        )
    return Registry(_address(process, log), process.pid, process)


@contextmanager
def running_registry(data: Path, *, login: tuple[str, str] | None = None) -> Iterator[Registry]:
    """A registry for the length of a `with` block."""
    registry = start(data, login=login)
    try:
        yield registry
    finally:
        registry.stop()


def _write_config(data: Path, port: int, login: tuple[str, str] | None) -> Path:
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(data / "images")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "one process, so any will do"},
    }
    if login is not None:
        users = data / "htpasswd"
        users.write_text(f"{login[0]}:{bcrypt.hashpw(login[1].encode(), bcrypt.gensalt(rounds=4)).decode()}\n")
        config["auth"] = {"htpasswd": {"realm": "prefect-fly", "path": str(users)}}
    # The registry reads YAML, of which JSON is a part.
    path = data / "registry.yml"
    path.write_text(json.dumps(config, indent=2))
    return path


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = _LISTENING.search(log.read_text(errors="replace"))
        if found is not None:
            return found[1]
        time.sleep(0.05)
    process.kill()
    process.wait()
    raise BuildFailedError(f"could not start the image registry: {log.read_text(errors='replace')[-500:]}")
