"""The demo's view of the sandbox: started and ended by its command line, and asked what it holds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import daemon
from sandbox.demo.stack import ROOT, DemoError


@dataclass(frozen=True)
class World:
    """A sandbox at `home`; `driver` is what runs its machines when it is started here."""

    home: Path
    driver: str = "auto"

    def start(self) -> None:
        """Start it, or do nothing when it runs; its own output is shown."""
        if self._run("start", "--driver", self.driver):
            raise DemoError("could not start the sandbox: the lines above say why. Fix that and run it again.")

    def stop(self) -> None:
        """End it and everything it started."""
        self._run("stop")

    def environment(self) -> dict[str, str]:
        """The variables that point other tools at it."""
        return daemon.environment(self.home)

    def status(self) -> dict[str, Any]:
        """What it holds now."""
        return daemon.status(self.home)

    def journal(self) -> list[dict[str, Any]]:
        """Every API call so far."""
        path = Path(self.status()["journal"])
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _run(self, *arguments: str) -> int:
        argv = [sys.executable, "-m", "sandbox", "--home", str(self.home), *arguments]
        return subprocess.run(argv, cwd=ROOT, check=False).returncode
