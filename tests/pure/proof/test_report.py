"""The table of a sweep's results."""

from __future__ import annotations

from pathlib import Path

import pytest

from proof import __main__ as command
from proof.report import table


def line(operation: str, fault: str, **also: object) -> dict[str, object]:
    name = f"{operation} | fly GET /v1/apps #1 | {fault}"
    return {"name": name, "hits": 1, "survived": True, "violations": [], "seconds": 1.0, **also}


def test_each_operation_has_a_row_and_each_fault_a_column() -> None:
    """What did not hold stands out; a case that did not meet its fault counts nowhere."""
    found = table(
        [
            line("up", "500", survived=False),
            line("up", "500"),
            line("up", "^C", violations=["it failed without saying why"]),
            line("no alert", "401", hits=0),
        ]
    )
    head, _, up, *others = (row.strip("| ").split(" | ") for row in found.splitlines())
    told = dict(zip(head, up, strict=True))
    assert (told["operation"], told["500"], told["^C"], told["401"]) == ("`up`", "2", "**0 of 1**", "0")
    assert (told["all"], told["at once"]) == ("**2 of 3**", "2")
    assert [row[0] for row in others][-2:] == ["`no alert`", "`destroy`"]
    assert {cell for row in others for cell in row[1:]} == {"0"}


def test_the_table_is_printed_and_nothing_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--table` reads the file of results."""
    results = tmp_path / "sweep.jsonl"
    results.write_text('{"name": "up | fly GET /v1 #1 | 500", "hits": 1, "survived": true, "violations": []}\n')
    assert command.main(["--table", "--results", str(results)]) == 0
    assert "| `up` | 1 | 0 |" in capsys.readouterr().out
