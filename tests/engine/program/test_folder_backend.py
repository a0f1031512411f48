"""A folder as backend: what a killed engine may leave there, and what docs/state.md says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import toolchain
from tests.support.cli_stack import CliStack

pytestmark = [pytest.mark.engine]


def stack_in(folder: Path, backend: str) -> CliStack:
    (folder / "state").mkdir()
    stack = CliStack(folder / "stack")
    stack.environment["PULUMI_BACKEND_URL"] = backend
    stack.cli("stack", "init", "dev", expect=0)
    return stack


def test_an_empty_second_file_stops_every_command_and_may_be_removed(tmp_path: Path) -> None:
    """As an engine leaves it that was killed between making and writing it; the state beside it is whole."""
    stack = stack_in(tmp_path, f"file://{tmp_path / 'state'}")
    (beside,) = (tmp_path / "state").rglob("dev.json.attrs")
    beside.write_bytes(b"")
    assert "failed to load checkpoint: EOF" in stack.cli("cancel", "--yes", expect=1).text
    beside.unlink()
    stack.cli("cancel", "--yes", expect=0)
    stack.cli("stack", "export", expect=0)


def test_the_backend_of_the_demo_has_no_second_file(tmp_path: Path) -> None:
    """The parameter is understood by the engine: one file for each stack."""
    stack_in(tmp_path, toolchain.folder_backend(tmp_path / "state"))
    assert list((tmp_path / "state").rglob("dev.json"))
    assert not list((tmp_path / "state").rglob("*.attrs"))
