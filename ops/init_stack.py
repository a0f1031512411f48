"""A new stack: its file, checked by the program's own rules before it is written, and its secrets through `pulumi`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.errors import OpsError

_HEAD = """\
# yaml-language-server: $schema=docs/settings.schema.json
# Made by "python -m ops init"; every setting is in docs/configuration.md.
"""
_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class NewStack:
    """A stack that is not there yet.

    Attributes:
        plain: its settings with their namespace.
        secrets: its secrets with their namespace; they reach the Pulumi CLI through its standard input only.
    """

    name: str
    root: Path
    plain: Mapping[str, Any]
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def file(self) -> Path:
        """Where its settings go."""
        return self.root / f"Pulumi.{self.name}.yaml"

    def check(self) -> None:
        """Return when the program would take these settings, beside those of the other stacks.

        Raises:
            OpsError: it would not; every problem is listed.
        """
        from settings import SettingsError, parse  # noqa: PLC0415 - the rollback's verbs must not need pydantic

        flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in self.plain.items()}
        try:
            parse({**flat, **self.secrets}, stack=self.name, owner="", root=self.root)
        except SettingsError as wrong:
            listed = str(wrong).rpartition("\n")[0]
            raise OpsError(f"{listed}\nNothing was written. Run init again with other answers.") from None

    def make(self, secrets_provider: str) -> None:
        """Write the file, make the stack and set its secrets; what fails leaves nothing behind.

        Raises:
            OpsError: the file is there, or the Pulumi CLI failed.
        """
        import yaml  # noqa: PLC0415 - as above

        try:
            with self.file.open("x", encoding="utf-8") as file:
                file.write(_HEAD + yaml.safe_dump({"config": dict(self.plain)}, sort_keys=False))
        except FileExistsError:
            raise OpsError(exists(self.file)) from None
        made = False
        try:
            self._pulumi("stack", "init", self.name, "--secrets-provider", secrets_provider)
            made = True
            for key, value in self.secrets.items():
                self._pulumi("config", "set", "--secret", key, "--stack", self.name, stdin=value)
        except BaseException:  # ^C as well: what was begun is put back, and it is raised again
            self.file.unlink(missing_ok=True)
            if made:
                self._pulumi("stack", "rm", self.name, "--yes", "--force", "--preserve-config")
            raise

    def _pulumi(self, *arguments: str, stdin: str = "") -> None:
        argv = ["pulumi", *arguments, "--non-interactive"]
        what = f'could not make stack "{self.name}": pulumi {_words(arguments)}'
        try:
            done = subprocess.run(
                argv, cwd=self.root, input=stdin, capture_output=True, text=True, check=False, timeout=_SECONDS
            )
        except (OSError, subprocess.TimeoutExpired) as cause:
            raise OpsError(f"{what} did not run ({type(cause).__name__}). Install the Pulumi CLI.") from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
            raise OpsError(f"{what} said: {said[0].removeprefix('error: ')}. Fix that, then run init again.")


def exists(file: Path) -> str:
    """Return the sentence for a stack that has its file already."""
    return (
        f"could not make a new stack: {file.name} exists. Choose another name, or change that file and run "
        f'"python -m ops doctor --stack {file.stem.partition(".")[2]}".'
    )


def _words(arguments: Sequence[str]) -> str:
    return " ".join(arguments[:2])
