"""The limits of what is read as a credential, at and beside each limit."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest
from prefect_server.credentials import LONGEST_FIRST_MESSAGE, from_first_message, from_header
from prefect_server.keys import LONGEST_CREDENTIAL


def header(value: bytes) -> str | None:
    return from_header({"type": "http", "headers": [(b"authorization", value)]})


def first_message(length: int) -> str:
    """An auth message of that many characters."""
    token = "k" * (length - len(json.dumps({"type": "auth", "token": ""})))
    return json.dumps({"type": "auth", "token": token})


def test_a_header_is_read_up_to_its_limit() -> None:
    """Twice the longest credential, which base64 stays below; a byte more is anonymous."""
    word = b"k" * (2 * LONGEST_CREDENTIAL - len("Bearer "))
    assert header(b"Bearer " + word) == word.decode()
    assert header(b"Bearer " + word + b"k") is None


@pytest.mark.parametrize("given", [b"bm9$ib2R5", b"bm9ib2R5\xff", b"bm9 ib2R5", b"", b"/////w=="])
def test_basic_takes_base64_alone(given: bytes) -> None:
    """Characters that base64 does not have are not skipped, and what is no text is nobody."""
    assert header(b"Basic " + given) is None
    assert header(b"Basic bm9ib2R5") == "nobody"


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_a_first_message_is_read_up_to_its_limit(kind: str) -> None:
    """As text and as bytes: the longest one counts, and one character more is no auth message."""
    for length, read in ((LONGEST_FIRST_MESSAGE, True), (LONGEST_FIRST_MESSAGE + 1, False)):
        text = first_message(length)
        is_auth, token = from_first_message({kind: text if kind == "text" else text.encode()})
        assert (is_auth, token is not None) == (read, read)
    text = first_message(100)
    assert from_first_message({kind: text if kind == "text" else text.encode()}) == (True, json.loads(text)["token"])


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"text": ""},
        {"bytes": b""},
        {"text": "[]"},
        {"text": "no JSON"},
        {"text": "[" * LONGEST_FIRST_MESSAGE},
        {"text": '{"type": "authentication", "token": "k"}'},
        {"text": '{"type": "auth", "token": 7}'},
        {"text": '{"type": "auth", "token": ["k"]}'},
        {"bytes": b"\xff" + b64encode(b"k")},
    ],
)
def test_what_is_no_auth_message_is_none(message: dict[str, object]) -> None:
    """Neither an auth message nor a token: the socket is closed, and nothing is asked of the ring."""
    assert from_first_message(message) == (False, None)


def test_an_auth_message_without_a_token_is_one() -> None:
    """What a client with only PREFECT_API_KEY sends: its header decides."""
    assert from_first_message({"text": '{"type": "auth", "token": null}'}) == (True, None)
    assert from_first_message({"text": '{"type": "auth"}'}) == (True, None)
