"""The image registry of a sandbox that runs containers: a real one on loopback, its images below the home."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from sandbox.core.ports import free_port
from toolchain import registry

_END_SECONDS = 10.0


class RegistryServer:
    """One registry in one folder; stopped and started again it has the same port and images.

    Args:
        folder: where images and configuration are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: registry.Registry | None = None

    @property
    def address(self) -> str:
        """Host and port, the first part of an image's name; only while it runs."""
        if self._running is None:
            raise LookupError("the registry does not run")
        return self._running.address

    @property
    def port(self) -> int | None:
        """Its port, or None while it does not run."""
        return int(self._running.address.rsplit(":", 1)[1]) if self._running else None

    def start(self, port: int = 0) -> None:
        """Start it, on a free port for 0.

        Raises:
            toolchain.ToolchainError: it could not be built or does not listen.
        """
        self.end_leftover()
        self._running = registry.start(self._folder, port=port or free_port())
        (self._folder / "pid").write_text(str(self._running.pid))

    def stop(self) -> None:
        """End it; idle calls are fine."""
        running, self._running = self._running, None
        if running is not None:
            running.stop()
            (self._folder / "pid").unlink(missing_ok=True)

    def end_leftover(self) -> None:
        """End the registry that a killed sandbox left running on this folder, if any."""
        path = self._folder / "pid"
        if not path.exists():
            return
        pid = int(path.read_text())
        command = Path(f"/proc/{pid}/cmdline")
        deadline = time.monotonic() + _END_SECONDS
        while command.exists() and str(self._folder).encode() in command.read_bytes():
            os.kill(pid, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            time.sleep(0.05)
        path.unlink()
