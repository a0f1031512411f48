"""No text, however long or odd, gets past the redaction with a secret in it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.errors import ApiError
from clients.fly.tokens import authorization, bare
from clients.redaction import one_line, redacted

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=12, max_size=60)
AROUND = st.text(max_size=40)
FORMS: list[Callable[[str], str]] = [
    str,
    lambda text: quote(text, safe=""),
    quote_plus,
    lambda text: base64.b64encode(text.encode()).decode(),
]
LONG = ["x" * 10_000_000, *(piece * 100_000 for piece in ("a://u:", "://", "password=", "Bearer ", "@", "pf_"))]


@given(secret=SECRETS, before=AROUND, after=AROUND, number=st.integers(0, len(FORMS) - 1))
def test_a_known_token_is_found_in_every_form_wherever_it_stands(
    secret: str, before: str, after: str, number: int
) -> None:
    """In clear, percent-encoded and base64, with any text around it, also through an error's text."""
    written = FORMS[number](secret)
    assert written not in redacted(before + written + after, {"FLY_API_TOKEN": secret})


@given(text=st.text(max_size=200))
def test_every_text_can_be_shown_and_showing_it_twice_changes_nothing(text: str) -> None:
    """One printable line, and redacting what is redacted leaves it as it is."""
    line = one_line(text)
    assert line.isprintable()
    assert one_line(line) == line
    ApiError("read a thing", text)


@given(token=st.text(st.sampled_from("fm2_ab, \n\tBearer FlyV1é"), max_size=30))
def test_a_token_has_one_spelling(token: str) -> None:
    """Taking the scheme off twice is taking it off once, and the header holds what is left."""
    assert bare(bare(token)) == bare(token)
    assert authorization(token).endswith(bare(token))


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_megabytes_are_read_in_time_that_grows_with_their_length(text: str) -> None:
    """Patterns that look back over the whole text for each letter would take hours here."""
    assert len(one_line(text)) < 700
    redacted(text[:200_000])
