from __future__ import annotations

import pytest

from clients.client_versions import FIRST_WHOLE, FIRST_WITH_HEADER, Fit, fit_of, needs_header, verdict


@pytest.mark.parametrize(
    ("version", "fit"),
    [
        ("2.20.26", Fit.REFUSED),
        ("3.0.0", Fit.LOSSY),
        ("3.4.9", Fit.LOSSY),
        (FIRST_WITH_HEADER, Fit.WITH_HEADER),
        ("3.4.25", Fit.WITH_HEADER),
        ("3.6.13", Fit.WITH_HEADER),
        (FIRST_WHOLE, Fit.WHOLE),
        ("3.8.8", Fit.WHOLE),
        ("3.10.0rc1", Fit.WHOLE),
        ("10.1", Fit.WHOLE),
        ("", Fit.WHOLE),
        ("unknown", Fit.WHOLE),
    ],
)
def test_versions_are_judged_as_measured(version: str, fit: Fit) -> None:
    """Numbers are compared as numbers, the limits are those of docs/gate.md, and what nobody can read is no problem."""
    assert fit_of(version) is fit


def test_only_a_stated_version_needs_the_header() -> None:
    """Nothing is given to a client of which nothing is known, nor to one that could not send it."""
    assert [needs_header(version) for version in (None, "3.0.0", "3.4.25", "3.8.8")] == [False, False, True, False]


def test_the_verdict_names_what_to_set() -> None:
    """One line a person can act on."""
    assert 'clientVersion: "3.4.25"' in verdict("3.4.25")
    assert "use 3.6.14 or later" in verdict("3.0.0")
