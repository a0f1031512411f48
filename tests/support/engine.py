"""The real Pulumi engine with the real program, on a file backend with a passphrase, everything in one folder."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation
from pulumi.automation._stack import StackInitMode

import toolchain
from settings.groups import SECRETS
from tests.support.inline import program, surroundings

ROOT = Path(__file__).resolve().parents[2]
STACK = "sandbox"
PASSPHRASE = "correct horse"


class _Stack(automation.Stack):
    """A stack that is not asked for its outputs and its history after each update: both are commands of their own."""

    def outputs(self) -> automation.OutputMap:
        return {}

    def info(self, *_: object) -> automation.UpdateSummary:
        return automation.UpdateSummary("update", datetime.now(UTC), "", {}, {}, "succeeded")


@dataclass
class Engine:
    """One stack in `folder`, whose program is the checkout's own.

    Attributes:
        folder: holds the project file, the stack file and the backend.
        addresses: what points the program at a sandbox (addresses and tokens).
        inline: the program runs in the test's process, which spares starting Python and importing everything for each
            operation: for tests that look at what the engine does, and not at how the program starts or ends.
        output: everything that the engine printed so far.
        variables: what the engine sees, `addresses` included.
    """

    folder: Path
    addresses: Mapping[str, str]
    inline: bool = False
    output: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "backend").mkdir(parents=True, exist_ok=True)
        project = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
        project["main"] = str(ROOT)
        (self.folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
        self.variables = {
            **toolchain.pulumi_env(),
            **self.addresses,
            "PULUMI_BACKEND_URL": toolchain.folder_backend(self.folder / "backend"),
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        }
        workspace = automation.LocalWorkspace(str(self.folder), env_vars=self.variables, pulumi_command=_command())
        self._stack = _Stack(STACK, workspace, StackInitMode.CREATE_OR_SELECT)

    def set(self, config: Mapping[str, Any]) -> None:
        """Set configuration; keys that hold secrets are encrypted, groups are replaced whole."""
        file = self.folder / f"Pulumi.{STACK}.yaml"
        secret = {key: value for key, value in config.items() if key.rpartition(":")[2] in SECRETS}
        content = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
        plain = {key: value for key, value in config.items() if key not in secret}
        content["config"] = {**content.get("config", {}), **plain}
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        if secret:
            values = {key: automation.ConfigValue(value, secret=True) for key, value in secret.items()}
            self._stack.set_all_config(values)

    def set_secret_at(self, path: str, value: str) -> None:
        """Set one secret inside of an object, as `pulumi config set --secret --path` does."""
        self._stack.set_config(path, automation.ConfigValue(value, secret=True), path=True)

    def environment(self, **changes: str) -> None:
        """Change variables that the engine and its plugins see from now on."""
        for key, value in changes.items():
            self.variables[key] = value  # the workspace holds this very dictionary

    def up(self, *, inline: bool | None = None, **options: Any) -> dict[str, int]:
        """Run `up` and return how many resources were created, updated, …; unchanged ones are left out."""
        return self._run(self._stack.up, inline, options)

    def preview(self, *, inline: bool | None = None, **options: Any) -> dict[str, int]:
        """Run `preview` and return what it would change; unchanged ones are left out."""
        return self._run(self._stack.preview, inline, options)

    def destroy(self, **options: Any) -> None:
        """Run `destroy`, after a refresh as the README says."""
        self._stack.destroy(on_output=self._keep, refresh=True, **options)

    def refresh(self, **options: Any) -> None:
        """Run `refresh`."""
        self._stack.refresh(on_output=self._keep, **options)

    def cancel(self) -> None:
        """Run `cancel`, which takes away the lock that a killed run left."""
        self._stack.cancel()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put a state in place, as `pulumi stack import` does; secrets may be in clear."""
        salt = yaml.safe_load((self.folder / f"Pulumi.{STACK}.yaml").read_text(encoding="utf-8"))["encryptionsalt"]
        secrets = {"secrets_providers": {"type": "passphrase", "state": {"salt": salt}}}
        file = self.folder / "older-state.json"
        file.write_text(json.dumps({**state, "deployment": {**state["deployment"], **secrets}}), encoding="utf-8")
        self._command("stack", "import", "--file", str(file), "--stack", STACK)

    def outputs(self) -> dict[str, Any]:
        """Outputs, secrets in clear."""
        argv = ["stack", "output", "--json", "--show-secrets", "--stack", STACK]
        found: dict[str, Any] = json.loads(self._command(*argv).stdout)
        return found

    def state(self) -> str:
        """The state file as it lies on disk."""
        return (self.folder / "backend" / ".pulumi" / "stacks" / "prefect-fly" / f"{STACK}.json").read_text()

    def resources(self) -> list[dict[str, Any]]:
        """The state's resources, as they lie on disk."""
        found: list[dict[str, Any]] = json.loads(self.state())["checkpoint"]["latest"].get("resources") or []
        return found

    def text(self) -> str:
        """Everything the engine printed so far."""
        return "".join(self.output)

    def remove(self) -> None:
        """Forget the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one that Pulumi's automation lacks, or makes two of."""
        argv = [str(toolchain.ensure()), *arguments]
        environment = {**os.environ, **self.variables}
        return subprocess.run(
            argv, cwd=self.folder, env=environment, check=True, timeout=600, stdout=subprocess.PIPE, text=True
        )

    def _run(self, operation: Callable[..., Any], inline: bool | None, options: dict[str, Any]) -> dict[str, int]:
        changes: dict[automation.OpType, int] = {}
        also = options.pop("on_event", None)

        def take(event: automation.EngineEvent) -> None:
            if event.summary_event:
                changes.update(event.summary_event.resource_changes)
            if also:
                also(event)

        options = {"on_output": self._keep, **options, "on_event": take}
        if self.inline if inline is None else inline:
            with surroundings(self.variables):
                operation(program=program(ROOT), **options)
        else:
            operation(**options)
        counts = {automation.OpType(kind).value: count for kind, count in changes.items()}
        return {kind: count for kind, count in counts.items() if kind != automation.OpType.SAME.value}

    def _keep(self, text: str) -> None:
        self.output.append(text if text.endswith("\n") else f"{text}\n")


@functools.cache
def _command() -> automation.PulumiCommand:
    return automation.PulumiCommand(root=str(toolchain.ensure().parent.parent))
