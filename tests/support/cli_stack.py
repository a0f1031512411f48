"""A stack of a few lines of program, driven through the real CLI with a file backend; for plugins' contracts."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import toolchain
from tests.support.inline import language_host
from tests.support.waiting import PATIENCE
from toolchain.places import VENV

_PROJECT = """\
name: contract
runtime: {{name: python, options: {{toolchain: pip, virtualenv: {venv}}}}}
"""


@dataclass(frozen=True)
class Run:
    """What one CLI call gave."""

    code: int
    text: str


@dataclass
class CliStack:
    """One stack whose program, files and state lie in one folder.

    Attributes:
        folder: where the program runs, and so what relative paths in it mean.
        variables: what the engine and its plugins see besides the usual environment.
        environment: the usual one, the engine's own variables included.
    """

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        (self.folder / "backend").mkdir(parents=True)
        (self.folder / "Pulumi.yaml").write_text(_PROJECT.format(venv=VENV))
        self.environment = {
            **os.environ,
            **toolchain.pulumi_env(),
            "PULUMI_BACKEND_URL": toolchain.folder_backend(self.folder / "backend"),
            "PULUMI_CONFIG_PASSPHRASE": "contract",
        }
        created = self.cli("stack", "init", "dev")
        assert created.code == 0, created.text

    def program(self, text: str, **values: Any) -> None:
        """Write the program; `values` are the names it finds defined."""
        head = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        (self.folder / "__main__.py").write_text(head + dedent(text))

    def cli(self, *arguments: str, expect: int | None = None) -> Run:
        """Run the CLI and wait for it."""
        with self.start(*arguments) as process:
            try:
                text, _ = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert expect is None or process.returncode == expect, text
        return Run(process.returncode, text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the CLI and give its process, whose output is one pipe."""
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.folder,
            env={**self.environment, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def up(self, *arguments: str, expect: int = 0) -> str:
        """Run `up` without its preview, with the program in this process, and give what it printed."""
        with language_host(self.folder, self.variables) as host:
            return self.cli("up", "--yes", "--skip-preview", *host, *arguments, expect=expect).text

    def preview(self, *arguments: str, expect: int = 0) -> str:
        """Run `preview`, with the program in this process, and give what it printed."""
        with language_host(self.folder, self.variables) as host:
            return self.cli("preview", *host, *arguments, expect=expect).text

    def destroy(self, *arguments: str, expect: int = 0) -> str:
        """Run `destroy` without its preview and give what it printed."""
        return self.cli("destroy", "--yes", "--skip-preview", *arguments, expect=expect).text

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        text = self.cli("stack", "output", "--json", "--show-secrets", expect=0).text
        values: dict[str, Any] = json.loads(text)
        return values

    def state(self) -> str:
        """The state as it lies on disk."""
        return (self.folder / "backend" / ".pulumi" / "stacks" / "contract" / "dev.json").read_text()

    def resource(self, kind: str) -> Mapping[str, Any]:
        """The one resource of that type in the state."""
        resources = json.loads(self.state())["checkpoint"]["latest"].get("resources") or []
        (found,) = [resource for resource in resources if resource["type"] == kind]
        return dict(found)

    def types(self) -> list[str]:
        """The types of all resources in the state."""
        resources = json.loads(self.state())["checkpoint"]["latest"].get("resources") or []
        return [resource["type"] for resource in resources]

    def lines(self, name: str) -> list[str]:
        """The lines of a file in the folder; none if it is not there."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []
