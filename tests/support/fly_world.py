"""A sandbox for tests of what talks to Fly: its address in the environment, and time ten times as fast for waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clients.endpoints import World
from clients.fly import FlyClient
from clients.transport import Timing, no_progress
from sandbox.testing import running_sandbox

if TYPE_CHECKING:
    from sandbox.testing import Sandbox

SPEED = 10.0
OWNER = "0123456789ab"
STRANGER = "ffffffffffff"
ORG = "captionacc"
IMAGE = f"registry.fly.io/shop@sha256:{'a' * 64}"
OTHER_IMAGE = f"registry.fly.io/shop@sha256:{'b' * 64}"


def fast_timing() -> Timing:
    """Return a clock on which our waits and paces take a tenth of their time."""
    return Timing(
        clock=lambda: time.time() * SPEED, sleep=lambda seconds: time.sleep(seconds / SPEED), jitter=lambda: 0.0
    )


def config(**changes: Any) -> dict[str, Any]:
    """Return the machine config of a small server with one check."""
    return {
        "image": IMAGE,
        "env": {"A": "1"},
        "init": {"cmd": ["serve"]},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
        "restart": {"policy": "always"},
        "services": [
            {
                "protocol": "tcp",
                "internal_port": 4200,
                "autostop": "off",
                "autostart": True,
                "ports": [{"port": 443, "handlers": ["http", "tls"]}],
                "checks": [{"type": "http", "interval": "15s", "timeout": "5s", "grace_period": "60s", "path": "/"}],
            }
        ],
        **changes,
    }


def sandboxed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a sandbox of emulated machines for one test, with the environment pointing at it."""
    with running_sandbox(home=tmp_path / "sandbox", driver="emulated") as running:
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("clients.fly.client.Timing", fast_timing)
        yield running


def client_of(running: Sandbox, token: str | None = None) -> FlyClient:
    """Return a client for it, with its main token or another."""
    environ = running.env() | ({"FLY_API_TOKEN": token} if token else {})
    return FlyClient.from_environment(World.SANDBOX, environ, progress=no_progress)
