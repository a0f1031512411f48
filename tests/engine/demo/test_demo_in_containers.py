"""The demo where Docker runs; a file of its own, because it takes minutes and files run beside each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.containers import require_docker
from tests.support.demo import running_demo, up_rollback_up

pytestmark = [pytest.mark.engine, pytest.mark.prefect, pytest.mark.containers, pytest.mark.long]


def test_demo_rollback_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as without Docker, with the image built, pushed and run; the rollback goes without Docker."""
    monkeypatch.setenv("DOCKER_HOST", require_docker())
    with running_demo(tmp_path / "home", "container") as demo:
        up_rollback_up(demo)
