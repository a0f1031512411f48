"""One fault at each call of an operation: the run with it, a run without it, and what must hold afterwards.

A clean run gives the calls and the final state. Then, for the first and the last occurrence of each kind of call and
for each fault: the operation meets the fault; if that made it fail, it is run again without it, and goes through; the
final state is the clean run's; a preview is empty; no secret was printed; the orchestrator never pointed at a server
that was gone; two workflow runs were never in flight at once.
"""

from __future__ import annotations

import random
import time
import zlib
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from proof.crashes import CRASHES, HELD, crashing
from proof.faults import FAULTS, GARBLED, WITH_EFFECT
from proof.operations import OPERATIONS
from proof.routes import Route, occurrences
from proof.stage import Stage
from proof.worlds import Worlds

# Our own calls go to GitHub without this prefix.
_OF_GITHUBS_PROVIDER = "/api/v3/"
# What the engine prints at once.
_ANNOUNCED = "^C received; cancelling"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fault at one call; `after` is how many calls of that kind pass first."""

    operation: str
    route: Route
    after: int
    fault: str

    @property
    def name(self) -> str:
        """Return what tells it from every other case."""
        return f"{self.operation} | {self.route} #{self.after + 1} | {self.fault}"

    @property
    def believed(self) -> bool:
        """Tell whether GitHub's own provider takes the fault for a success: it does not read what a write answers."""
        return self.route.path.startswith(_OF_GITHUBS_PROVIDER) and self.fault in GARBLED and self.route.method != "GET"

    @property
    def disbelieved(self) -> bool:
        """Tell whether GitHub's own provider may take what it deleted for a failure: a 404 is one to it."""
        return self.route.path.startswith(_OF_GITHUBS_PROVIDER) and self.route.method == "DELETE"


@dataclass(kw_only=True)
class Outcome:
    """What came of a case.

    Attributes:
        hits: calls that met the fault; 0 where this run made fewer calls of the kind than the clean one.
        survived: whether the operation went through in spite of it.
        violations: what did not hold; empty when all is well.
        seconds: how long it took.
    """

    name: str
    hits: int
    survived: bool
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it for the file of results."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Clean:
    """A run without a fault: its calls and its end."""

    routes: dict[Route, int]
    signature: dict[str, Any]


def clean_run(operation: str, worlds: Worlds) -> Clean:
    """Run an operation without a fault."""
    with worlds.prepared(operation) as made:
        before = len(made.sandbox.journal())
        OPERATIONS[operation].act(made)
        return Clean(routes=occurrences(made.sandbox.journal()[before:]), signature=made.signature())


def cases(operation: str, clean: Clean) -> list[Case]:
    """Return every case of an operation: first and last occurrence of each kind of call, each fault."""
    every = [
        Case(operation=operation, route=route, after=after, fault=fault)
        for route, count in sorted(clean.routes.items())
        for after in sorted({0, count - 1})
        for fault in (*FAULTS, *CRASHES)
        if route.method != "GET" or fault not in WITH_EFFECT
    ]
    # What has left the state no refresh compares any more: docs/proof.md says what to look at.
    compared = OPERATIONS[operation].leaves
    return [case for case in every if not case.believed or (compared and case.route.method != "DELETE")]


def chosen(every: list[Case], count: int, seed: int) -> list[Case]:
    """Return some of them, the same for the same seed."""
    return random.Random(seed).sample(every, min(count, len(every)))  # noqa: S311 - a choice of tests


def shard(every: list[Case], number: int, of: int) -> list[Case]:
    """Return one of so many parts, counted from 1; a case is in the same one whatever else there is."""
    return [case for case in every if zlib.crc32(case.name.encode()) % of == number - 1]


def run_case(case: Case, clean: Clean, worlds: Worlds) -> Outcome:
    """Play one case to its end."""
    began = time.monotonic()
    operation = OPERATIONS[case.operation]
    with worlds.prepared(case.operation) as made:
        faults = made.sandbox.faults(case.route.service)
        settings = FAULTS.get(case.fault, HELD)
        fault = faults.add(case.route.method, case.route.pattern, skip=case.after, **settings)
        crash = CRASHES.get(case.fault)
        with made.watched(), crashing(made, fault, crash):
            # What is left of a program's process when the engine is gone belongs to the case.
            made.engine.inline = crash is None or crash.caller
            survived = made.survives(lambda: operation.act(made), mute=crash is not None)
            made.engine.inline = True
            faults.clear()
            if case.fault == "^C" and fault.hits and _ANNOUNCED not in made.engine.text():
                made.said.append("nobody was told that the first ^C waits for the running calls")
            if crash is not None and crash.locks and not survived:
                made.engine.cancel()
            # Interrupted, a destroy may end with exit code 0 before everything is done (docs/proof.md).
            interrupted = case.fault == "^C" and fault.hits > 0
            if (interrupted or not survived) and not _run_again(made, case, interrupted=interrupted):
                made.said.append(f"the run without the fault failed: {_last_error(made)}")
            if case.believed and not made.survives(lambda: made.engine.up(refresh=True)):
                made.said.append(f"up --refresh failed: {_last_error(made)}")
        seen = len(made.engine.text())
        if operation.leaves and not made.survives(lambda: made.engine.preview(expect_no_changes=True)):
            made.said.append(f"the preview afterwards is not empty, or failed:\n{made.engine.text()[seen:]}")
        if not operation.leaves and made.engine.resources():
            made.said.append("the state still holds resources")
        if (found := made.signature()) != clean.signature:
            made.said.append(f"the end differs: {_difference(clean.signature, found)}")
        violations = [*made.said, *made.two_at_once(), *made.leaks()]
        seconds = round(time.monotonic() - began, 1)
        return Outcome(name=case.name, hits=fault.hits, survived=survived, violations=violations, seconds=seconds)


def _run_again(made: Stage, case: Case, *, interrupted: bool) -> bool:
    """Run the operation without the fault, as the runbook says; tell whether it went through."""
    operation = OPERATIONS[case.operation]
    refreshed = case.disbelieved and operation.leaves
    again = partial(made.engine.up, refresh=True) if refreshed else partial(operation.act, made)
    if made.survives(again):
        return True
    if not (interrupted and case.disbelieved):
        return False
    # The engine deletes once more what is gone: let it find something.
    made.set_by_hand(case.route.path.rpartition("/")[2])
    return made.survives(again)


def _last_error(made: Stage) -> str:
    lines = [line.strip() for line in made.engine.text().splitlines() if "could not" in line or "error:" in line]
    return lines[-1] if lines else "it said nothing"


def _difference(expected: Any, found: Any, where: str = "") -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted({*expected, *found})
        parts = [_difference(expected.get(key), found.get(key), f"{where}.{key}".lstrip(".")) for key in keys]
        return "; ".join(part for part in parts if part)
    return "" if expected == found else f"{where} is {found!r}, not {expected!r}"
