"""Which cases an operation has."""

from __future__ import annotations

import pytest

from proof.faults import GARBLED
from proof.routes import Route
from proof.sweep import Clean, cases

SECRET = "/api/v3/repos/captionacc/captionacc/actions/secrets/PREFECT_API_KEY"


@pytest.mark.parametrize(
    ("operation", "method", "played"),
    [("up", "PUT", True), ("up", "GET", True), ("detach", "DELETE", False), ("destroy", "DELETE", False)],
)
def test_what_no_refresh_compares_any_more_is_left_out(operation: str, method: str, *, played: bool) -> None:
    """GitHub's provider believes a garbled answer, and what it believes to have deleted has left the state."""
    clean = Clean(routes={Route("github", method, SECRET): 1}, signature={})
    found = {case.fault for case in cases(operation, clean)}
    assert (found >= GARBLED) is played
    assert played or not found & GARBLED
    assert {"500", "reset before", "^C"} <= found
