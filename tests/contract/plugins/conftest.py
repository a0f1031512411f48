from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli_stack import CliStack


@pytest.fixture
def stack(tmp_path: Path) -> CliStack:
    """A new stack in a folder of its own; what it runs ends with each CLI call."""
    return CliStack(tmp_path / "stack")
