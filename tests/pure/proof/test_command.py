"""`python -m proof`, with workers that play nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from proof import __main__ as command
from proof.routes import Route
from proof.sweep import Case, Clean, Outcome

ROUTE = Route("fly", "GET", "/v1/apps")


class Players:
    """Every case holds, but for one that cannot be played."""

    def __init__(self) -> None:
        self.played: list[str] = []
        self.broken = "429"

    def clean_run(self, _operation: str) -> Future[Clean]:
        """Return one that is over."""
        run: Future[Clean] = Future()
        run.set_result(Clean(routes={ROUTE: 1}, signature={}))
        return run

    def run_case(self, case: Case, _clean: Clean) -> Future[Outcome]:
        """Return one that is over."""
        self.played.append(case.name)
        playing: Future[Outcome] = Future()
        if case.fault == self.broken:
            playing.set_exception(RuntimeError("no room left"))
        else:
            playing.set_result(Outcome(name=case.name, hits=1, survived=True))
        return playing


def test_a_case_that_cannot_be_played_stops_no_other_and_is_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named and makes the exit code 1; the next run plays it alone, and everything held."""
    players = Players()

    @contextmanager
    def workers(_count: int) -> Iterator[Players]:
        yield players

    monkeypatch.setattr(command, "workers", workers)
    results = tmp_path / "sweep.jsonl"
    words = ["--operation", "up", "--results", str(results)]
    assert command.main(words) == 1
    printed = capsys.readouterr().out
    assert f"BROKEN  up | {ROUTE} #1 | 429: RuntimeError('no room left')" in printed
    kept = [json.loads(line)["name"] for line in results.read_text().splitlines()]
    assert len(kept) == len(players.played) - 1

    players.played, players.broken = [], ""
    assert command.main(words) == 0
    assert players.played == [f"up | {ROUTE} #1 | 429"]
    assert f"{len(kept) + 1} of {len(kept) + 1} cases: {len(kept) + 1} held" in capsys.readouterr().out
