"""Automations that call webhooks at the same moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.prefect_server import plain_environment, result_of, run_client

pytestmark = pytest.mark.prefect

SCRIPT = Path(__file__).parent / "clients" / "webhooks.py"


@pytest.mark.parametrize(("how", "last"), [("with the guard", 200), ("as Prefect does", "ReadError('')")])
def test_one_that_ends_cuts_off_no_other(how: str, last: int | str, tmp_path: Path) -> None:
    """Both calls are answered; with Prefect alone the one that is answered last failed, so that the guard is needed."""
    assert result_of(run_client(SCRIPT, plain_environment(tmp_path), how)) == {"first": 200, "last": last}
