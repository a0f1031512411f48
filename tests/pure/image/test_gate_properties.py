"""What holds of the gate whatever a stranger sends: no spelling opens a closed path, and nothing raises."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import example, given
from hypothesis import strategies as st
from prefect_server.credentials import from_first_message, from_header
from prefect_server.keys import KeyRing, KeyRingError, sha256
from prefect_server.surface import HEALTH_PATH, READY_PATH, SOCKETS, Surface

from tests.support.any_json import JSON
from tests.support.asgi_double import CLOSED

SURFACE = Surface(CLOSED)
PATHS = [
    "/api",
    "/api/flows/filter",
    "/api/admin/settings",
    "/api/health/",
    "/api/ready/x",
    "/gate/keys",
    "/gate/status",
    *CLOSED,
    *(f"/api{path}" for path in SOCKETS),
]
METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "TRACE", "X"])


def _at(path: str, index: int, change: Callable[[str], str]) -> str:
    index %= len(path)
    return path[:index] + change(path[index]) + path[index + 1 :]


# Each leads to the same place for a server that decodes, cleans or compares leniently.
SPELLINGS: list[Callable[[str, int], str]] = [
    lambda path, index: _at(path, index, lambda char: quote(char, safe="") if char in "/%" else f"%{ord(char):02x}"),
    lambda path, index: _at(path, index, lambda char: f"%25{ord(char):02X}"),
    lambda path, index: _at(path, index, lambda char: char.swapcase()),
    lambda path, index: _at(path, index, lambda char: char * 2 if char == "/" else char),
    lambda path, index: _at(path, index, lambda char: "\\" if char == "/" else char),
    lambda path, index: _at(path, index, lambda char: "/./" if char == "/" else char),
    lambda path, index: _at(path, index, lambda char: "/x/../" if char == "/" else char),
    lambda path, _: f"/assets/..{path}",
    lambda path, _: f"/../..{path}",
    lambda path, _: f"{path}/",
    lambda path, _: f"{path}/.",
    lambda path, _: f"{path}//",
    lambda path, _: f"//{path}",
]
HEADERS = st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)))
ODD_VALUES = st.sampled_from([b"Basic ", b"Bearer", b"Basic !!!", b"bAsIc\t"])
MESSAGES = st.binary(max_size=60) | st.text(max_size=60) | JSON.map(json.dumps)
AUTH_MESSAGES = JSON.map(lambda token: json.dumps({"type": "auth", "token": token}))
CHANGES = st.lists(st.tuples(st.sampled_from(SPELLINGS), st.integers(0, 60)), max_size=6)


@given(path=st.sampled_from(PATHS), changes=CHANGES, method=METHODS)
def test_no_spelling_of_a_closed_path_is_open(
    path: str, changes: list[tuple[Callable[[str, int], str], int]], method: str
) -> None:
    """Percent signs, doubled ones, dots, slashes of both kinds and case in any combination stay closed."""
    for change, index in changes:
        path = change(path, index)
    if path not in {HEALTH_PATH, READY_PATH}:
        assert not SURFACE.is_open({"path": path, "method": method, "headers": []}), path


@given(path=st.text(max_size=40), method=METHODS, headers=HEADERS)
def test_any_path_is_judged(path: str, method: str, headers: list[tuple[bytes, bytes]]) -> None:
    """Nothing raises, and a method that changes something is open nowhere."""
    scope = {"path": path, "method": method, "headers": headers}
    SURFACE.is_mangled(scope)
    SURFACE.is_socket(scope)
    assert not SURFACE.is_open(scope) or method in {"GET", "HEAD", "OPTIONS"}


@given(values=st.lists(st.binary(max_size=80) | ODD_VALUES, max_size=3))
def test_any_authorization_header_is_a_text_or_none(values: list[bytes]) -> None:
    """One that cannot be read, and more than one, are none."""
    found = from_header({"headers": [(b"Authorization", value) for value in values]})
    assert found is None or (len(values) == 1 and found)


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60))
def test_a_key_arrives_in_both_schemes(key: str) -> None:
    """As Bearer and as Basic, whatever letters it has."""
    basic = b"Basic " + base64.b64encode(key.encode())
    for value in (b"Bearer " + key.encode(), basic, b"  bearer   " + key.encode()):
        assert from_header({"headers": [(b"authorization", value)]}) == key


@given(content=MESSAGES | AUTH_MESSAGES)
@example(content='{"type": "auth", "token": "\\ud800"}')
@example(content='{"type": "auth", "token": ' + "9" * 4000 + "}")
@example(content="[" * 4096)
@example(content="x" * 100_000)
def test_any_first_message_is_judged(content: bytes | str) -> None:
    """Text or bytes: an auth message with a text or null as its token, or none at all; and any token can be checked."""
    is_auth, token = from_first_message({"bytes" if isinstance(content, bytes) else "text": content})
    assert token is None or (is_auth and isinstance(token, str))
    assert KeyRing.parse(json.dumps({"worker": sha256("good-key")})).check(token).accepted is None


HASH = st.just(sha256("k"))
ENTRIES = st.dictionaries(
    st.sampled_from(["worker", "a b", ""]) | st.text(max_size=4),
    JSON | HASH | st.fixed_dictionaries({"sha256": HASH}, optional={"rights": JSON, "expires": JSON}),
    max_size=3,
)


@given(text=st.text(max_size=60) | JSON.map(json.dumps) | ENTRIES.map(json.dumps))
@example(text=json.dumps({"a": {"sha256": sha256("k"), "expires": "9999-12-31T23:59:59-23:59"}}))
@example(text=json.dumps({"a": {"sha256": sha256("k"), "expires": "0001-01-01T00:00:00+23:59"}}))
@example(text="9" * 5000)
@example(text="[" * 100_000)
def test_any_key_ring_is_read_or_refused(text: str) -> None:
    """What is read can be asked and written again; what is refused says so by its own error, without a hash."""
    said = ""
    try:
        ring = KeyRing.parse(text)
        again = KeyRing.parse(json.dumps({name: key.as_json() for name, key in ring.keys.items()}))
        assert again.keys == ring.keys
        ring.check("worker:k")
    except KeyRingError as refused:
        said = str(refused)
    assert sha256("k") not in said
