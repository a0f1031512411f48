"""A ^C while the demo runs: the engine is let end what it is at, and what it left is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.demo import rollback
from sandbox.demo.stack import ROOT, DemoError, Stack
from sandbox.demo.world import World

# A ^C reaches both; the engine needs a while for what it is at.
_ENGINE = "#!/bin/sh\nkill -INT $PPID\nsleep 1\nexit 3\n"
_SHOWS = """
import os, pathlib, sys
from sandbox.demo.stack import Stack
Stack.environment = lambda _: dict(os.environ)
sys.exit(Stack(pathlib.Path(sys.argv[1]), {}).show(["destroy"]))
"""


def test_the_engine_is_waited_for(tmp_path: Path) -> None:
    """It ends by itself, with its own exit code: killed, it would leave the stack locked."""
    (tmp_path / "pulumi").write_text(_ENGINE)
    (tmp_path / "pulumi").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    argv = [sys.executable, "-c", _SHOWS, str(tmp_path)]
    assert subprocess.run(argv, cwd=ROOT, env=environment, check=False, timeout=600).returncode == 3


def test_a_rollback_that_ended_too_early_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 0 is not believed while the state still holds something."""
    state = tmp_path / "pulumi" / ".pulumi" / "stacks" / "prefect-fly" / "sandbox.json"
    state.parent.mkdir(parents=True)
    state.write_text(
        json.dumps({"checkpoint": {"latest": {"resources": [{"type": "fly:App"}, {"type": "fly:Machine"}]}}})
    )
    monkeypatch.setattr(World, "start", lambda _: None)
    monkeypatch.setattr(World, "environment", lambda _: {})
    monkeypatch.setattr(World, "status", lambda _: {})
    monkeypatch.setattr(World, "journal", lambda _: [])
    monkeypatch.setattr(Stack, "show", lambda *_: 0)
    with pytest.raises(DemoError, match=r'still holds 2 resources. Run "make demo-rollback" again'):
        rollback.run(World(tmp_path))
