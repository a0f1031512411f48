"""What the commands people wait for cost: ours beside a program that only imports the same packages, and the demo.

Run `make bench` (about five minutes on two idle cores). It writes docs/bench.md. Every line is a ratio of medians of
one run, in which the two sides take turns.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import toolchain
from sandbox.demo.stack import ROOT
from tests.support.cli_stack import CliStack
from tests.support.engine import STACK, Engine
from tests.support.stub_world import stack_config, stub_world

ROUNDS = 7
PAGE = ROOT / "docs" / "bench.md"
# What the program imports of others; tests/pure/test_start.py compares.
EMPTY = "import pulumi, pulumi_command, pulumi_docker, pulumi_github\nfrom pydantic import BaseModel, Field"
COMMANDS = {
    "preview": (("preview",), 1.6),
    "up that finds nothing, with --refresh": (("up", "--yes", "--skip-preview", "--refresh"), 2.0),
}
DEMO = {
    "make demo, everything built before": ("demo", 60.0),
    "make demo again": ("demo", 8.0),
    "make demo-rollback": ("demo-rollback", 12.0),
}


@dataclass(frozen=True)
class Program:
    """A stack's folder and what the CLI sees there."""

    folder: Path
    variables: Mapping[str, str]

    def seconds(self, *words: str) -> float:
        """Run the CLI, which must succeed, and return how long it took."""
        argv = [str(toolchain.ensure()), *words, "--non-interactive"]
        began = time.monotonic()
        done = subprocess.run(
            argv, cwd=self.folder, env={**os.environ, **self.variables}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        return time.monotonic() - began


def commands(home: Path) -> list[str]:
    """Measure the commands; return lines of a table."""
    empty_stack = CliStack(home / "empty")
    empty_stack.program(EMPTY)
    empty = Program(empty_stack.folder, empty_stack.variables | empty_stack.environment)
    empty.seconds("up", "--yes", "--skip-preview")
    lines = []
    with stub_world(home / "sandbox") as sandbox:
        engine = Engine(home / "stack", sandbox.env())
        engine.set(stack_config(sandbox))
        engine.up()
        ours = Program(engine.folder, {**engine.variables, "PULUMI_STACK": STACK})
        for name, (words, bound) in COMMANDS.items():
            calls = len(sandbox.journal())
            pairs = [(ours.seconds(*words), empty.seconds(*words)) for _ in range(ROUNDS)]
            own, other = (median(side) for side in zip(*pairs, strict=True))
            calls = (len(sandbox.journal()) - calls) // ROUNDS
            lines.append(f"| {name} | {own:.1f} s | {other:.1f} s | {own / other:.2f} | {bound} | {calls} |")
            print(lines[-1], flush=True)
    return lines


def demo() -> list[str]:
    """Time the demo's targets from the outside; return lines of a table."""
    lines = []
    subprocess.run(["make", "-s", "demo-rollback", "demo-stop"], cwd=ROOT, capture_output=True, check=False)
    for name, (target, bound) in DEMO.items():
        began = time.monotonic()
        subprocess.run(["make", "-s", target], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        lines.append(f"| {name} | {time.monotonic() - began:.0f} s | {bound:.0f} s |")
        print(lines[-1], flush=True)
    subprocess.run(["make", "-s", "demo-stop"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return lines


def main() -> None:
    """Measure everything and write the page."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        table = commands(Path(folder))
    timed = demo()
    text = f"""# What the commands cost

Written by `make bench`: {ROUNDS} rounds, medians, both sides taking turns. {platform.system()} {platform.machine()},
{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} before; the engine built by the toolchain,
with its stand-ins for the command and docker plugins. Ratios can be compared between machines, seconds cannot.
[toolchain.md](toolchain.md#where-a-commands-time-goes) says what the time is spent on;
[bench-up.md](bench-up.md) is about `up` from nothing.

The other side is a program that imports the same packages and does nothing.

| command | this stack | the empty one | ratio | wanted at most | calls of the sandbox's APIs |
|---|---|---|---|---|---|
{chr(10).join(table)}

| | took | wanted at most |
|---|---|---|
{chr(10).join(timed)}
"""
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
