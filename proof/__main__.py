"""`python -m proof`: the fault sweep, with progress, over several processes, resumed where it was ended.

Exit code 0: every case held; 1: some did not, or could not be played; the results file has a JSON line a case.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from proof.operations import OPERATIONS
from proof.report import table
from proof.sweep import Case, Clean, Outcome, cases, chosen, clean_run, run_case, shard
from proof.workers import Task, workers

# Many a case waits a minute or two for a limit of time and needs no processor meanwhile; measured, docs/proof.md.
_JOBS_PER_CORE = 6


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep that the flags ask for."""
    flags = _flags(argv)
    if flags.table:
        print(table(_lines(flags.results)))
        return 0
    with workers(flags.jobs) as started:
        runs = [Task(name=name, operation=name, run=partial(clean_run, name)) for name in flags.operation]
        clean = {run.operation: future.result() for run, future in started.play(runs)}
        wanted = _wanted(flags, clean)
        done = {line["name"] for line in _lines(flags.results)}
        left = [case for case in wanted if case.name not in done]
        print(f"{len(wanted)} cases, {len(wanted) - len(left)} done before", flush=True)
        playing = [
            Task(name=case.name, operation=case.operation, run=partial(run_case, case, clean[case.operation]))
            for case in left
        ]
        for number, (task, future) in enumerate(started.play(playing), 1):
            if error := future.exception():
                # The others go on; this one is played again by the next run.
                line = f"BROKEN  {task.name}: {error!r}"
            else:
                outcome = future.result()
                _keep(flags.results, outcome)
                line = _line(outcome)
            print(f"{number}/{len(left)}  {line}", flush=True)
    return _verdict(flags.results, wanted)


def _wanted(flags: argparse.Namespace, clean: Mapping[str, Clean]) -> list[Case]:
    found = [case for name in flags.operation for case in cases(name, clean[name]) if flags.only in case.name]
    return shard(chosen(found, flags.cases, flags.seed) if flags.cases else found, *flags.shard)


def _flags(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proof", description="Faults at every call of every operation.")
    parser.add_argument("--operation", action="append", choices=tuple(OPERATIONS), help="one of them; again for more")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name holds this")
    parser.add_argument("--cases", type=int, default=0, metavar="N", help="so many, chosen by the seed; all without it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--shard", type=_shard, default=(1, 1), metavar="K/N", help="the K-th of N parts, each for a machine of its own"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=_JOBS_PER_CORE * (os.cpu_count() or 1),
        metavar="N",
        help="cases at the same time, of 350 MB each; %(default)s without it",
    )
    parser.add_argument(
        "--results", type=Path, default=Path(".sandbox/sweep.jsonl"), help="what is there is not run again"
    )
    parser.add_argument("--table", action="store_true", help="run nothing: what the results come to, as Markdown")
    flags = parser.parse_args(argv)
    flags.operation = flags.operation or list(OPERATIONS)
    return flags


def _shard(text: str) -> tuple[int, int]:
    """Return K and N of K/N.

    Raises:
        ArgumentTypeError: it is something else.
    """
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f'"{text}" is not K/N, with K from 1 to N')
    return int(number), int(of)


def _lines(results: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def _keep(results: Path, outcome: Outcome) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        file.write(json.dumps(outcome.as_json()) + "\n")


def _line(outcome: Outcome) -> str:
    how = "not met" if not outcome.hits else "survived" if outcome.survived else "failed, then went on"
    held = "VIOLATION" if outcome.violations else "ok"
    first = f"{outcome.seconds:5.0f} s  {held:9}  {outcome.name}  ({how})"
    return "\n           ".join([first, *outcome.violations])


def _verdict(results: Path, wanted: Sequence[Case]) -> int:
    names = {case.name for case in wanted}
    found = [line for line in _lines(results) if line["name"] in names]
    bad = [line for line in found if line["violations"]]
    missed = [line for line in found if not line["hits"]]
    print(
        f"{len(found)} of {len(wanted)} cases: {len(found) - len(bad)} held, {len(bad)} did not, "
        f"{len(missed)} did not meet their fault"
    )
    return 1 if bad or len(found) < len(wanted) else 0


if __name__ == "__main__":
    sys.exit(main())
