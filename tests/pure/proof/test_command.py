"""`python -m proof`, with workers that are threads and play nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from proof import __main__ as command
from proof.routes import Route
from proof.sweep import Case, Clean, Outcome
from proof.workers import Worker, Workers
from proof.worlds import Worlds

ROUTE = Route("fly", "GET", "/v1/apps")


class Plays:
    """Every case holds, but for one that cannot be played."""

    def __init__(self) -> None:
        self.played: list[str] = []
        self.broken = "429"

    def clean_run(self, _operation: str, _worlds: Worlds) -> Clean:
        """Return one with one call."""
        return Clean(routes={ROUTE: 1}, signature={})

    def run_case(self, case: Case, _clean: Clean, _worlds: Worlds) -> Outcome:
        """Return one that held."""
        self.played.append(case.name)
        if case.fault == self.broken:
            raise RuntimeError("no room left")
        return Outcome(name=case.name, hits=1, survived=True)


@contextmanager
def _workers(count: int) -> Iterator[Workers]:
    with ExitStack() as pools:
        yield Workers([Worker(pools.enter_context(ThreadPoolExecutor(1))) for _ in range(count)], Path("nowhere"))


def test_a_case_that_cannot_be_played_stops_no_other_and_is_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named and makes the exit code 1; the next run plays it alone, and everything held."""
    plays = Plays()
    monkeypatch.setattr(command, "workers", _workers)
    monkeypatch.setattr(command, "clean_run", plays.clean_run)
    monkeypatch.setattr(command, "run_case", plays.run_case)
    results = tmp_path / "sweep.jsonl"
    words = ["--operation", "up", "--operation", "rotate", "--jobs", "2", "--results", str(results)]
    assert command.main(words) == 1
    printed = capsys.readouterr().out
    for operation in ("up", "rotate"):
        assert f"BROKEN  {operation} | {ROUTE} #1 | 429: RuntimeError('no room left')" in printed
    kept = [json.loads(line)["name"] for line in results.read_text().splitlines()]
    assert len(kept) == len(plays.played) - 2

    plays.played, plays.broken = [], ""
    assert command.main(words) == 0
    assert sorted(plays.played) == [f"{operation} | {ROUTE} #1 | 429" for operation in ("rotate", "up")]
    assert f"{len(kept) + 2} of {len(kept) + 2} cases: {len(kept) + 2} held" in capsys.readouterr().out
