"""`login`: what a person types into the UI."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest

from ops import __main__ as ops


def pulumi(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Put a `pulumi` on PATH that does this."""
    file = folder / "pulumi"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_a_kept_key_is_read_from_the_state(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is the credential alone; pulumi was asked for that stack's output."""
    keys = json.dumps({"anna": "anna:pf_1", "bob": "bob:pf_2"})
    pulumi(monkeypatch, tmp_path, f"echo \"$@\" > {tmp_path}/asked; echo '{keys}'")
    assert ops.main(["login", "prod", "--login", "bob"]) == 0
    assert capsys.readouterr().out == "bob:pf_2\n"
    asked = (tmp_path / "asked").read_text().split()
    assert asked == ["stack", "output", "uiLoginKeys", "--show-secrets", "--json", "--stack", "prod"]


def test_a_new_key_is_shown_once_with_the_hash_for_the_stack_file(capsys: pytest.CaptureFixture[str]) -> None:
    """What goes into the stack file is the hash of what was shown; two keys are never the same."""
    shown = []
    for _ in range(2):
        assert ops.main(["login", "prod", "--login", "anna", "--new"]) == 0
        written = capsys.readouterr()
        name, _, key = written.out.strip().partition(":")
        assert name == "anna"
        assert f"sha256: {hashlib.sha256(key.encode()).hexdigest()}}}" in written.err
        assert "Pulumi.prod.yaml" in written.err
        assert key not in written.err
        shown.append(key)
    assert len(set(shown)) == 2


@pytest.mark.parametrize(
    ("login", "script", "sentence"),
    [
        ("no name", "exit 1", 'could not make login "no name": a name is 1 to 48 letters'),
        ("bob", 'echo \'{"anna": "anna:pf_1"}\'', "the state holds no such key (it has: anna). Add it to logins"),
        ("bob", "echo '{}'", "the state holds no such key (it has: none)"),
        ("bob", "echo 'error: no stack' >&2; exit 3", 'could not read stack "prod": error: no stack (exit code 3)'),
        ("bob", "exit 3", 'could not read stack "prod": no reason given (exit code 3)'),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    login: str,
    script: str,
    sentence: str,
) -> None:
    """Exit code 1, nothing on standard output, and what to do."""
    pulumi(monkeypatch, tmp_path, script)
    assert ops.main(["login", "prod", "--login", login]) == 1
    written = capsys.readouterr()
    assert (written.out, sentence in written.err) == ("", True), written.err
    assert "pf_1" not in written.err


@pytest.mark.parametrize("failure", [FileNotFoundError(2, "pulumi"), subprocess.TimeoutExpired("pulumi", 120)])
def test_a_pulumi_that_does_not_run_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    """Missing or hanging: the stack and the page are named."""

    def run(*_given: object, **_options: object) -> None:
        raise failure

    monkeypatch.setattr(subprocess, "run", run)
    assert ops.main(["login", "prod", "--login", "bob"]) == 1
    assert f"pulumi did not run ({type(failure).__name__}). See docs/toolchain.md" in capsys.readouterr().err
