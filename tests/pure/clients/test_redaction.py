from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from clients.redaction import one_line, redacted

TOKEN = "tok en/with+odd=chars"


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("connecting to postgresql+asyncpg://u:canary@db.test/x", "u:[cut out]@db.test/x"),
        ("redis://:can@ary@host:6379", "redis://:[cut out]@host:6379"),
        ("Authorization: Bearer canary-canary", "Authorization: Bearer [cut out]"),
        ("authorization: basic Y2FuYXJ5", "authorization: basic [cut out]"),
        ('{"password": "canary", "user": "u"}', '"user": "u"'),
        ("API_KEY=canary next", " next"),
        ("key pf_canarycanarycanary1 was refused", "key [cut out] was refused"),
        ("token ghp_canarycanarycanary1", "token [cut out]"),
    ],
)
def test_what_looks_like_a_credential_is_cut_out_and_the_rest_stays(line: str, kept: str) -> None:
    """URL passwords, Authorization values, variables named like secrets, and keys by their prefix."""
    assert "canary" not in redacted(line, {})
    assert kept in redacted(line, {})


@pytest.mark.parametrize(
    "form", [TOKEN, quote(TOKEN, safe=""), base64.b64encode(TOKEN.encode()).decode(), f"x{TOKEN}y"]
)
def test_a_token_of_the_environment_is_cut_out_in_every_form(form: str) -> None:
    """In clear, percent-encoded and in base64, wherever it stands."""
    assert form not in redacted(f"it said {form} here", {"FLY_API_TOKEN": TOKEN})
    assert "[cut out]" in redacted(f"it said {form} here", {"FLY_API_TOKEN": TOKEN})


def test_the_key_of_a_credential_is_cut_out_alone_too() -> None:
    """PREFECT_FLY_VERIFY_KEY is name:key, and the key opens the server by itself."""
    environ = {"PREFECT_FLY_VERIFY_KEY": "verify:longenoughkey"}
    assert redacted("key longenoughkey", environ) == "key [cut out]"


def test_ordinary_words_stay() -> None:
    """Nothing is cut out of a line that holds no secret, nor by a variable that is empty or very short."""
    line = "check /api/ready is critical: connection refused (HTTP 503), see secrets of app shop"
    assert redacted(line, {"FLY_API_TOKEN": "", "GITHUB_TOKEN": "app"}) == line


LONGEST_READ = 20_000


def test_a_text_is_read_up_to_its_limit() -> None:
    """Of a longer one the last word before the limit goes: the limit may have cut a secret, which no pattern knows."""
    words = "word " * (LONGEST_READ // 5)
    fits = words[:-1] + "."
    assert one_line(fits, LONGEST_READ) == fits
    cut = one_line(words[:-5] + "canary-that-is-cut", LONGEST_READ)
    assert cut == words[:-5].strip()
    assert one_line("x" * (LONGEST_READ + 1), 10) == "xxxxxxxxxx"


def test_a_line_is_as_long_as_it_may_be() -> None:
    """One character more is cut, and the cut shows; what cannot be printed is replaced."""
    assert one_line("a" * 10, 10) == "a" * 10
    assert one_line("a" * 11, 10) == "a" * 10 + " …"
    assert one_line("a\x1b[31mb\n\tc") == "a?[31mb c"


def test_the_shortest_secret_that_is_cut_out_and_what_follows_the_last_colon() -> None:
    """Eight characters are one, seven may be a word; a key is what stands behind the last colon."""
    assert redacted("it said eight888", {"GITHUB_TOKEN": "eight888"}) == "it said [cut out]"
    assert redacted("it said seven77", {"GITHUB_TOKEN": "seven77"}) == "it said seven77"
    assert redacted("key longenoughkey", {"PREFECT_FLY_VERIFY_KEY": "a:b:longenoughkey"}) == "key [cut out]"
    assert redacted("it said eightch%25", {"GITHUB_TOKEN": "eightch%"}) == "it said [cut out]", "longer forms go first"
