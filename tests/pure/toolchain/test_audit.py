"""`make audit` looks at every lock, and a lock that could not be asked about is no clean one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from toolchain import audit
from toolchain.places import ROOT


@pytest.mark.parametrize(("bad", "code"), [("", 0), ("constraints.txt", 1)])
def test_every_lock_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: str, code: int
) -> None:
    """All are audited, also after a bad one, strictly; the bad one is named."""
    seen: list[str] = []

    def run(argv: Sequence[str | Path]) -> int:
        assert "--strict" in argv
        seen.append(str(argv[4]))
        return int(argv[4] == bad)

    monkeypatch.setattr(audit, "locked_python", lambda *_: Path("python"))
    assert audit.main(run) == code
    assert seen == list(audit.AUDITED)
    assert all((ROOT / name).is_file() for name in seen)
    said = capsys.readouterr().err
    assert said.startswith(f"could not call {bad} free of") if bad else said == ""


def test_the_auditor_is_pinned_with_hashes() -> None:
    """pip-audit and all it needs come by hash."""
    lines = audit.LOCK.read_text().splitlines()
    pins = [number for number, line in enumerate(lines) if "==" in line]
    assert any(lines[number].startswith("pip-audit==") for number in pins)
    assert all("--hash=sha256:" in lines[number + 1] for number in pins)
