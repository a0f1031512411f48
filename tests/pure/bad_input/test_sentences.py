"""The checker of all texts fails when a text is not as agreed."""

from __future__ import annotations

import pytest

from clients.errors import ApiError
from ops.errors import OpsError
from tests.support.sentences import faults_of

GOOD = 'could not read app "shop": no such app (HTTP 404). Check the name.'


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OpsError(GOOD), ""),
        (ValueError(GOOD), "no error of ours"),
        (OpsError("App not found"), "no sentence"),
        (OpsError('could not read app "shop": no such app.'), "no sentence"),
        (OpsError('could not read app "shop": no such app. That is sad.'), "what to do next"),
        (OpsError(f"{GOOD}\n{GOOD}"), "more than one line"),
        (OpsError(GOOD + " Run it" + " again" * 400), "characters"),
        (OpsError('could not read app "shop": <html><body>. Check the name.'), "<html"),
        (OpsError('could not read app "shop": hunter2 is wrong. Check it.'), "a secret"),
        (OpsError('could not read app "shop": aHVudGVyMg is wrong. Check it.'), "a secret"),
        (ApiError('read app "shop"', "hunter2-and-more is wrong"), "a secret"),
    ],
)
def test_each_fault_is_found(error: Exception, fault: str) -> None:
    """A good text has none; each of the others has exactly the fault it was made for."""
    found = faults_of(error, ["hunter2"])
    assert len(found) == bool(fault), found
    assert not fault or fault in found[0]
