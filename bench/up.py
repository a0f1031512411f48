"""What `up` from nothing takes, beside its critical path and beside the manual runbook as a script; and the way back.

Run `.venv/bin/python -m toolchain run .venv/bin/python -m bench.up [rounds]` (under five minutes on two idle cores). It
writes docs/bench-up.md. The engine and the program are the real ones; the server and the orchestrator are light
stand-ins, so that what is measured is ours. With and without a delay of 100 ms for every call.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import toolchain
from bench.critical_path import Step, longest, steps
from bench.runbook import Runbook
from sandbox.captionacc import REPOSITORY
from sandbox.demo.stack import ROOT
from sandbox.testing import Sandbox
from tests.support.beside import beside
from tests.support.engine import STACK, Engine
from tests.support.stub_world import stack_config, stub_world

ROUNDS = 3
LATENCIES = (0.0, 0.1)
PAGE = ROOT / "docs" / "bench-up.md"
COLUMNS = (
    "each call takes",
    "`up` / chain of steps (1.15)",
    "`up` / chain of calls",
    "before the first and after the last step",
    "`up` / its calls one by one",
    "`up` / script (0.8)",
    "back in ephemeral mode (3 s)",
)
APIS = ("fly", "github", "betterstack")
_LOOK_EVERY_SECONDS = 0.01


@dataclass
class Events:
    """What the engine writes into its log of events, each with when it was seen (unix seconds)."""

    path: Path
    seen: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow the file while the block runs."""
        self.path.touch()
        with beside(self._follow):
            yield

    def _follow(self, over: threading.Event) -> None:
        with self.path.open(encoding="utf-8") as lines:
            line = ""
            while True:
                line += lines.readline()
                if line.endswith("\n"):
                    self.seen.append((time.time(), json.loads(line)))
                    line = ""
                elif over.wait(_LOOK_EVERY_SECONDS):
                    return


@dataclass(frozen=True, kw_only=True)
class Round:
    """One `up`, one script and one `destroy`; seconds.

    Attributes:
        up: of the whole command.
        path: of the longest chain of the engine's steps.
        calls: of the longest chain of their calls and waits.
        added: of the calls and waits of all steps, one after the other.
        start: from the command to its first step.
        end: from its last step to its end.
        script: of the manual runbook, done by a script.
        back: from the end of the rollback's workflow run until the orchestrator was seen in ephemeral mode.
        chain: the longest one.
    """

    up: float
    path: float
    calls: float
    added: float
    start: float
    end: float
    script: float
    back: float
    chain: list[Step] = field(repr=False)


def run(engine: Engine, verb: str, log: Path) -> tuple[float, float, Events]:
    """Run the CLI; return when it began and ended, and the engine's events."""
    events = Events(log)
    argv = [str(toolchain.ensure()), verb, "--yes", "--skip-preview", "--non-interactive", "--event-log", str(log)]
    # The flag is one of those that the CLI shows to nobody else.
    environ = {**os.environ, **engine.variables, "PULUMI_STACK": STACK, "PULUMI_DEBUG_COMMANDS": "true"}
    with events.followed():
        began = time.time()
        done = subprocess.run(argv, cwd=engine.folder, env=environ, capture_output=True, text=True, check=False)
        ended = time.time()
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return began, ended, events


@contextmanager
def world(home: Path, delay: float) -> Iterator[Sandbox]:
    """Run a sandbox whose APIs take so many seconds more for each call."""
    with stub_world(home / "sandbox") as sandbox:
        for api in APIS if delay else ():
            sandbox.faults(api).add(times=None, delay=delay)
        yield sandbox


def measure(home: Path, delay: float) -> Round:
    """Do all once."""
    with world(home / "script", delay) as sandbox:
        began = time.monotonic()
        Runbook(sandbox).follow()
        script = time.monotonic() - began
    with world(home / "stack", delay) as sandbox:
        engine = Engine(home / "stack", sandbox.env())
        engine.set(stack_config(sandbox))
        began, ended, events = run(engine, "up", home / "up.jsonl")
        resources = engine.resources()
        found = steps(events.seen, resources, sandbox.journal(), delay=delay)
        chain = longest(found, {urn: step.seconds for urn, step in found.items()})
        of_calls = longest(found, {urn: step.of_calls for urn, step in found.items()})
        *_, gone = run(engine, "destroy", home / "destroy.jsonl")
        detached = steps(gone.seen, resources, sandbox.journal(), operation="delete")
        (back,) = [step.ended for urn, step in detached.items() if urn.endswith("-detach")]
        last = max(run.updated_at for run in sandbox.github.repositories[REPOSITORY].runs)
    return Round(
        up=ended - began,
        path=sum(step.seconds for step in chain),
        calls=sum(step.of_calls for step in of_calls),
        added=sum(step.of_calls for step in found.values()),
        start=min(step.began for step in found.values()) - began,
        end=ended - max(step.ended for step in found.values()),
        script=script,
        back=back - last,
        chain=chain,
    )


def table(latency: float, rounds: list[Round]) -> list[str]:
    """Return the lines about one latency, and the chain of the median round."""

    def ratio(one: str, other: str) -> float:
        return median(float(getattr(each, one) / getattr(each, other)) for each in rounds)

    typical = sorted(rounds, key=lambda each: each.up)[len(rounds) // 2]
    outside = median((each.start + each.end) / each.up for each in rounds)
    return [
        f"| {latency * 1000:.0f} ms | {ratio('up', 'path'):.2f} | {ratio('up', 'calls'):.2f} | {100 * outside:.0f} % "
        f"| {ratio('up', 'added'):.2f} | {ratio('up', 'script'):.2f} "
        f"| {median(each.back for each in rounds):.1f} s |",
        f"The chain at {latency * 1000:.0f} ms a call:",
        *(f"- {step}" for step in typical.chain if step.seconds >= 0.1),
    ]


def main() -> None:
    """Measure and write the page."""
    number = int(sys.argv[1]) if sys.argv[1:] else ROUNDS
    load = os.getloadavg()[0]
    rows, chains = [], []
    for latency in LATENCIES:
        rounds = []
        for _ in range(number):
            with tempfile.TemporaryDirectory() as folder:
                rounds.append(measure(Path(folder), latency))
            print(rounds[-1], flush=True)
        row, heading, *chain = table(latency, rounds)
        rows.append(row)
        chains += ["", heading, "", *chain]
    text = PAGE.read_text(encoding="utf-8").partition("## Measured")[0] if PAGE.exists() else ""
    loads = f"load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    text += f"""## Measured
Written by `python -m bench.up`: {number} rounds, medians of ratios. {platform.system()} {platform.machine()},
{os.cpu_count()} cores, {loads}, engine with the toolchain's stand-ins.

| {" | ".join(COLUMNS)} |
|{"---|" * len(COLUMNS)}
{chr(10).join(rows)}
{chr(10).join(chains)}
"""
    PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
