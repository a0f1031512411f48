"""The demo as a newcomer runs it: real engine, real Prefect server, real Postgres, the real orchestrator."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.demo import running_demo, up_rollback_up

pytestmark = [pytest.mark.engine, pytest.mark.prefect]


def test_demo_rollback_demo(tmp_path: Path) -> None:
    """Up proves and shows, a second changes nothing, rollback leaves nothing, and history outlives it all."""
    with running_demo(tmp_path / "home", "process") as demo:
        up_rollback_up(demo)
