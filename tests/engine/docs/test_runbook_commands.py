"""What the runbook says to type to the Pulumi CLI exists in the one that is pinned."""

from __future__ import annotations

import shlex
import subprocess

import pytest

import toolchain
from tests.pure.test_runbook import COMMANDS

pytestmark = pytest.mark.engine


def test_the_cli_knows_every_command_and_flag() -> None:
    """Each flag is in the help of its command."""
    asked: dict[tuple[str, ...], set[str]] = {}
    for command in COMMANDS:
        words = shlex.split(command)
        if words[0] == "pulumi":
            verb = tuple(words[1:3]) if words[1] in {"config", "stack"} else (words[1],)
            asked.setdefault(verb, set()).update(word for word in words if word.startswith("--"))
    assert ("up",) in asked
    for verb, flags in asked.items():
        argv = [str(toolchain.ensure()), *verb, "--help"]
        shown = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=True).stdout
        assert f"pulumi {' '.join(verb)}" in shown
        assert not {flag for flag in flags if f"{flag} " not in f"{shown} "}, verb
