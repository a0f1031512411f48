"""The demo's stack: its configuration, its backend and its passphrase, all below the sandbox's home.

Nothing of it is written into the checkout: the committed Pulumi.sandbox.yaml is only the template.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import toolchain

STACK = "sandbox"
ROOT = Path(__file__).resolve().parents[2]


class DemoError(Exception):
    """The demo cannot go on; the text is one sentence with the next step."""


@dataclass(frozen=True)
class Stack:
    """The stack named `sandbox` on a file backend below `home`.

    Args:
        home: the sandbox's folder.
        addresses: what the sandbox tells other tools (its `env`): addresses and tokens.
    """

    home: Path
    addresses: Mapping[str, str]

    @property
    def config_file(self) -> Path:
        """The stack's whole configuration, secrets encrypted."""
        return self.home / "Pulumi.sandbox.yaml"

    def environment(self) -> dict[str, str]:
        """The environment in which plain `pulumi` works on this stack."""
        return {**os.environ, **toolchain.pulumi_env(), **dict(self.addresses), **pulumi_variables(self.home)}

    def configure(self, plain: Mapping[str, Any], secret: Mapping[str, str]) -> None:
        """Write the configuration; what is already there and encrypted with the same value stays as it is."""
        template = yaml.safe_load((ROOT / "Pulumi.sandbox.yaml").read_text(encoding="utf-8"))
        kept = yaml.safe_load(self.config_file.read_text(encoding="utf-8")) if self.config_file.exists() else {}
        config = {**template["config"]}
        for key, value in plain.items():
            config[key] = {**config.get(key, {}), **value} if isinstance(value, dict) else value
        encrypted = (kept.get("config") or {}).items()
        config |= {key: value for key, value in encrypted if isinstance(value, dict) and "secure" in value}
        kept["config"] = config
        self.config_file.write_text(yaml.safe_dump(kept, sort_keys=True), encoding="utf-8")
        self._make()
        known = json.loads(self.run(["config", "--show-secrets", "--json"]))
        for key, value in secret.items():
            if known.get(f"prefect-fly:{key}", {}).get("value") != value:
                self.run(["config", "set", "--secret", key], stdin=value)

    def run(self, arguments: Sequence[str], *, stdin: str | None = None, folder: Path = ROOT) -> str:
        """Run `pulumi` quietly and return what it printed.

        Raises:
            DemoError: it failed; the text holds what it said.
        """
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=folder,
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise DemoError(f"could not run pulumi {arguments[0]} on the demo's stack: {said}")
        return done.stdout

    def show(self, arguments: Sequence[str]) -> int:
        """Run `pulumi` with its output shown as it comes; return its exit code.

        A terminal's ^C reaches `pulumi` as well, which says so and lets the running calls end: it is waited for.
        """
        argv, environment = ["pulumi", *arguments, "--non-interactive"], self.environment()
        # Before the engine starts. To ignore the signal would let the engine ignore it too.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            return subprocess.run(argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
        finally:
            signal.signal(signal.SIGINT, before)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear: the demo shows how to log in."""
        loaded: dict[str, Any] = json.loads(self.run(["stack", "output", "--json", "--show-secrets"]) or "{}")
        return loaded

    def last_changes(self) -> dict[str, int]:
        """How many resources the last update created, updated, deleted, …; unchanged ones are left out."""
        history = json.loads(self.run(["stack", "history", "--json", "--page-size", "1"]))
        changes: dict[str, int] = history[0].get("resourceChanges") or {}
        return {kind: count for kind, count in changes.items() if kind != "same" and count}

    def held(self) -> list[str]:
        """Return the types of the resources that the state holds."""
        latest = json.loads(_state_file(self.home).read_text(encoding="utf-8"))["checkpoint"]["latest"] or {}
        return [item["type"] for item in latest.get("resources") or []]

    def exists(self) -> bool:
        """Tell whether the stack was ever made."""
        return has_stack(self.home)

    def _make(self) -> None:
        """Make the stack once, in a folder of its own: `stack init` writes a salt beside the project file it finds."""
        if self.exists():
            return
        folder = self.home / "init"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "Pulumi.yaml", folder)
        self.run(["stack", "init", STACK, "--secrets-provider", "passphrase"], folder=folder)
        shutil.rmtree(folder)


def has_stack(home: Path) -> bool:
    """Tell whether the demo's stack was ever made below `home`."""
    return _state_file(home).exists()


def pulumi_variables(home: Path) -> dict[str, str]:
    """Where the demo's stack keeps its state, its passphrase and its configuration."""
    backend, passphrase = home / "pulumi", home / "passphrase"
    backend.mkdir(parents=True, exist_ok=True)
    if not passphrase.exists():
        passphrase.touch(mode=0o600)
        passphrase.write_text(secrets.token_urlsafe(24), encoding="utf-8")
    return {
        "PULUMI_BACKEND_URL": toolchain.folder_backend(backend),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase.resolve()),
        # The engine takes any of its flags from the environment under this prefix.
        "PULUMI_OPTION_CONFIG_FILE": str((home / "Pulumi.sandbox.yaml").resolve()),
        "PULUMI_STACK": STACK,
    }


def _state_file(home: Path) -> Path:
    return home / "pulumi" / ".pulumi" / "stacks" / "prefect-fly" / f"{STACK}.json"
