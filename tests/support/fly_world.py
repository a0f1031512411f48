"""A sandbox for tests of what talks to Fly: it and our client live on a clock that runs ten times as fast.

Both sides share the clock, so Fly's rate limits are the documented ones and what we wait for takes its true time.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.endpoints import World
from clients.fly import FlyClient
from clients.timing import Timing
from clients.transport import Progress, no_progress
from sandbox.core.clock import Clock
from sandbox.fly import FlyOptions
from sandbox.testing import Sandbox, running_sandbox
from tests.support.waiting import until

SPEED = 10.0
OWNER = "0123456789ab"
STRANGER = "ffffffffffff"
ORG = "captionacc"
IMAGE = f"registry.fly.io/shop@sha256:{'a' * 64}"
OTHER_IMAGE = f"registry.fly.io/shop@sha256:{'b' * 64}"


class FastClock(Clock):
    """The sandbox's clock, ten times as fast."""

    def time(self) -> float:
        """Return unix seconds that pass in tenths."""
        return _fast_time()

    async def sleep(self, seconds: float) -> None:
        """Wait a tenth of `seconds`."""
        await asyncio.sleep(seconds / SPEED)


_BORN, _BORN_AT = time.monotonic(), time.time()


def _fast_time() -> float:
    return _BORN_AT + (time.monotonic() - _BORN) * SPEED


def fast_timing() -> Timing:
    """Return the same clock for our client, without chance."""
    return Timing(clock=_fast_time, sleep=lambda seconds: time.sleep(seconds / SPEED), jitter=lambda: 0.0)


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
    options = FlyOptions(org=ORG, exact_rate_limits=True)
    with running_sandbox(tmp_path / "sandbox", clock=FastClock(), fly=options, filled=False) as running:
        for name, value in running.env().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("clients.fly.client.Timing", fast_timing)
        yield running


def client_of(running: Sandbox, token: str | None = None, progress: Progress = no_progress) -> FlyClient:
    """Return a client for it, with its main token or another."""
    environ = running.env() | ({"FLY_API_TOKEN": token} if token else {})
    return FlyClient.from_environment(World.SANDBOX, environ, progress=progress)


def write_by_hand(running: Sandbox, app: str, values: dict[str, str | None]) -> None:
    """Write secrets as somebody else would, and return when a list that asks for no version shows them."""
    state = running.fly.state
    version = client_of(running).secrets.write(app, values).version
    # Told by the version: the list of two seconds ago may hold the same names, from before ours were written.
    until(lambda: state.visible_secrets(state.apps[app], None).version >= version)


def delete_by_hand(running: Sandbox, app: str) -> None:
    """Delete an app as somebody else would, and return when it is gone."""
    apps = client_of(running).apps
    apps.delete(app)
    apps.wait_gone(app)


def later(seconds: float, act: Callable[[], None]) -> threading.Timer:
    """Do something in `seconds` of real time, while the test waits in a call."""
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer
