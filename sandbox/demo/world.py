"""The demo's view of the sandbox: its command line, spoken to as a person would."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.demo.stack import ROOT, DemoError


@dataclass(frozen=True)
class World:
    """A sandbox at `home`; `driver` is what runs its machines when it is started here."""

    home: Path
    driver: str = "auto"

    def start(self) -> None:
        """Start it, or do nothing when it runs; its own output is shown."""
        if self._run("start", "--driver", self.driver).returncode:
            raise DemoError("could not start the sandbox: the lines above say why. Fix that and run it again.")

    def stop(self) -> None:
        """End it and everything it started."""
        self._run("stop")

    def environment(self) -> dict[str, str]:
        """The variables that point other tools at it."""
        lines = self._captured("env").splitlines()
        pairs = (line.removeprefix("export ").partition("=") for line in lines if line.startswith("export "))
        return {name: shlex.split(value)[0] if value else "" for name, _equals, value in pairs}

    def status(self) -> dict[str, Any]:
        """What it holds now."""
        loaded: dict[str, Any] = json.loads(self._captured("status", "--json"))
        return loaded

    def journal(self) -> list[dict[str, Any]]:
        """Every API call so far."""
        path = Path(self.status()["journal"])
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def _captured(self, *arguments: str) -> str:
        done = self._run(*arguments, capture=True)
        if done.returncode:
            raise DemoError(f"could not ask the sandbox for its {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def _run(self, *arguments: str, capture: bool = False) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "sandbox", "--home", str(self.home), *arguments]
        return subprocess.run(argv, cwd=ROOT, capture_output=capture, text=True, check=False)
