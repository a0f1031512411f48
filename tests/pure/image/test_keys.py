"""Keys are known by hash and name only, several at once, and no input makes the check raise."""

from __future__ import annotations

import json

import pytest
from prefect_server.keys import KeyRing, KeyRingError, sha256

RING = KeyRing({"worker": [sha256("one"), sha256("two")], "other": [sha256("three")]})


@pytest.mark.parametrize(
    ("credential", "accepted"),
    [("one", "worker"), ("two", "worker"), ("worker:one", "worker"), ("three", "other"), ("other:three", "other")],
)
def test_accepted(credential: str, accepted: str) -> None:
    """A key is accepted alone and with its own name; a name may have several keys while they are rotated."""
    assert RING.check(credential).accepted == accepted


@pytest.mark.parametrize(
    "credential",
    [None, "", ":", "worker:", ":one", "worker:three", "other:one", "one ", "ONE", "worker:worker:one", sha256("one"),
     "worker:" + sha256("one"), "\ud800", "worker:\udfff", "x" * 100_000],
)  # fmt: skip
def test_refused(credential: str | None) -> None:
    """Anything else, the hash itself included, is refused and never an error."""
    assert RING.check(credential).accepted is None


def test_revoking_one_leaves_the_others() -> None:
    """A ring without a name refuses that name's key and still takes the others'."""
    ring = KeyRing.parse(json.dumps({"other": sha256("three")}))
    assert ring.check("one").accepted is None
    assert ring.check("worker:one").accepted is None
    assert ring.check("three").accepted == "other"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "JSON object"),
        ("{}", "JSON object"),
        ('{"a b": "x"}', '"a b"'),
        ('{"a": "x"}', 'value of "a"'),
        (json.dumps({"a": sha256("k").upper()}), 'value of "a"'),
        ('{"a": []}', 'value of "a"'),
        (json.dumps({"a": [sha256("k"), 3]}), 'value of "a"'),
    ],
)
def test_bad_secret_is_refused(text: str, says: str) -> None:
    """A secret that is no map of names to hashes is refused with the reason, at start."""
    with pytest.raises(KeyRingError, match=says):
        KeyRing.parse(text)


def test_bad_secret_is_not_repeated() -> None:
    """The reason does not hold what somebody may have put there instead of a hash: the key itself."""
    with pytest.raises(KeyRingError) as raised:
        KeyRing.parse('{"worker": "the-key-itself"}')
    assert "the-key-itself" not in str(raised.value)
