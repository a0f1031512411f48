"""What `init` makes of the answers about the server's address."""

from __future__ import annotations

import argparse

import pytest

from ops import init
from ops.errors import OpsError
from ops.init_questions import Questions


@pytest.mark.parametrize(
    ("flags", "stated"),
    [
        ({}, {}),
        ({"domain": "none", "private": "no"}, {}),
        ({"domain": "prefect.example.com"}, {"domain": "prefect.example.com"}),
        ({"private": "yes"}, {"private": True}),
        # Contradictory: both are written, so that the program's own rule refuses them by name.
        ({"private": "yes", "domain": "p.example.com"}, {"domain": "p.example.com", "private": True}),
        ({"url_template": "http://{app}.test"}, {"urlTemplate": "http://{app}.test"}),
    ],
)
def test_a_public_server_under_flys_name_unless_told_otherwise(
    flags: dict[str, str], stated: dict[str, object]
) -> None:
    """Without flags and a terminal the defaults are taken; what is not stated is not written."""
    args = argparse.Namespace(**{"domain": None, "url_template": "", **flags})
    assert init._address(Questions(flags, None), args) == stated


@pytest.mark.parametrize("flags", [{"private": "maybe"}, {"domain": "prefect"}, {"domain": "https://p.example.com"}])
def test_another_answer_is_refused_with_its_flag(flags: dict[str, str]) -> None:
    """One sentence that names the flag."""
    args = argparse.Namespace(**{"domain": None, "url_template": "", **flags})
    with pytest.raises(OpsError, match=f"could not use --{next(iter(flags))}: "):
        init._address(Questions(flags, None), args)
