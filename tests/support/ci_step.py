"""A step of the workflows, run as a runner would: what GitHub sets for it are files in the stack's folder."""

from __future__ import annotations

import os
import subprocess
import sys

import toolchain
from tests.support.engine import PASSPHRASE, ROOT, Engine

PACK = str(ROOT / "toolchain" / "policy-pack")
"""The engine that is built here takes a pack as a program; an installed CLI takes the folder "policy"."""
OUTPUT = "output"


def step_environment(engine: Engine) -> dict[str, str]:
    """The variables of a step."""
    return {
        **os.environ,
        **toolchain.pulumi_env(),
        **engine.addresses,
        "PYTHONPATH": str(ROOT),
        "PULUMI_BACKEND_URL": engine.variables["PULUMI_BACKEND_URL"],
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "GITHUB_OUTPUT": str(engine.folder / OUTPUT),
        "GITHUB_ENV": str(engine.folder / "environment"),
        "GITHUB_STEP_SUMMARY": str(engine.folder / "summary.md"),
    }


def run_step(engine: Engine, *words: str, code: int = 0, **changes: str) -> str:
    """Run `python -m ci` with these words on the engine's stack; return what it printed."""
    env = {**step_environment(engine), **changes}
    argv = [sys.executable, "-m", "ci", *words]
    done = subprocess.run(argv, cwd=engine.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
