"""Keys are known by hash and name only, several at once, and no input makes the check raise."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from prefect_server.keys import LONGEST_CREDENTIAL, Key, KeyRing, KeyRingError, Rights, Verdict, rfc3339, sha256

RING = KeyRing({"worker": Key((sha256("one"), sha256("two"))), "other": Key((sha256("three"),))})
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


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
        (json.dumps({"a": {"rights": "viewer"}}), 'value of "a"'),
        (
            json.dumps({"a": {"sha256": sha256("k"), "rights": "owner"}}),
            'rights of "a" must be viewer, operator, admin',
        ),
        (json.dumps({"a": {"sha256": sha256("k"), "rights": None}}), 'rights of "a"'),
        (json.dumps({"a": {"sha256": sha256("k"), "expires": "soon"}}), 'expiry of "a"'),
        (json.dumps({"a": {"sha256": sha256("k"), "expires": "2027-01-31T00:00:00"}}), 'expiry of "a".*its zone'),
        (json.dumps({"a": {"sha256": sha256("k"), "expires": 1801440000}}), 'expiry of "a"'),
        (json.dumps({"a": {"sha256": sha256("k"), "right": "viewer"}}), 'entry of "a" holds "right"'),
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


def test_rights_and_expiry_are_read() -> None:
    """A bare hash and a list are an admin's for ever; an entry says otherwise; what was read is written the same."""
    text = json.dumps(
        {
            "bare": sha256("one"),
            "listed": [sha256("two"), sha256("three")],
            "anna": {"sha256": [sha256("four")], "rights": "viewer", "expires": "2027-01-01T00:00:00Z"},
            "otto": {"sha256": sha256("five"), "rights": "operator", "expires": "2027-01-01T02:00:00+02:00"},
        }
    )
    ring = KeyRing.parse(text)
    assert ring.check("one").rights is ring.check("three").rights is Rights.ADMIN
    assert ring.keys["bare"].expires is None
    assert ring.keys["anna"] == Key((sha256("four"),), Rights.VIEWER, NEW_YEAR)
    assert ring.keys["otto"] == Key((sha256("five"),), Rights.OPERATOR, NEW_YEAR)
    written = json.dumps({name: key.as_json() for name, key in ring.keys.items()})
    assert KeyRing.parse(written).keys == ring.keys


def test_a_key_expires_at_its_time() -> None:
    """It is accepted until the second before; then it is refused, alone and with its name, and said to be old."""
    now = NEW_YEAR.timestamp() - 1
    ring = KeyRing({"anna": Key((sha256("one"),), expires=NEW_YEAR)}, clock=lambda: now)
    assert ring.check("anna:one").accepted == "anna"
    assert not ring.check("one").expired
    now += 1
    for credential in ("one", "anna:one"):
        verdict = ring.check(credential)
        assert (verdict.accepted, verdict.claimed, verdict.expired, verdict.expires) == (None, "anna", True, NEW_YEAR)
    assert not ring.check("anna:wrong").expired, "only who holds the key learns that it is old"
    assert ring.with_key("probe", "two").check("one").expired, "the clock goes with the ring"


def test_a_time_is_written_in_utc_wherever_the_server_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret, the refusal and whoami, on a machine with another zone."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        moment = datetime(2027, 1, 31, 1, tzinfo=timezone(timedelta(hours=1)))
        assert rfc3339(moment) == "2027-01-31T00:00:00Z"
        entry = {"sha256": "0" * 64, "expires": "2027-01-31T01:00:00+01:00"}
        read = KeyRing.parse(json.dumps({"anna": entry})).keys["anna"].expires
        assert str(read) == "2027-01-31 00:00:00+00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_who_somebody_is_and_why_not() -> None:
    """The answer of whoami without an end says so, and nobody is told more than that."""
    who = Verdict(accepted="anna", rights=Rights.VIEWER).who()
    assert who == {"name": "anna", "rights": "viewer", "expires": None}
    assert Verdict().why_refused() == "Unauthorized"


def test_a_second_key_of_a_name_keeps_the_first_and_its_rights() -> None:
    """The name is known: its rights stay."""
    ring = KeyRing({"anna": Key((sha256("one"),), Rights.VIEWER)}).with_key("anna", "two")
    for key in ("one", "two"):
        assert ring.check(key).rights is Rights.VIEWER


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("no JSON", "it is not JSON"),
        ("{}", "it must be a JSON object that maps at least one key's name to its SHA-256"),
        (
            json.dumps({"!" * 70: "0" * 64}),
            f'the name "{"!" * 64}" must be 1 to 64 letters, digits, ".", "_" or "-"',
        ),
        (
            json.dumps({"anna": {"sha256": "0" * 64, "k" * 30: 1}}),
            f'the entry of "anna" holds "{"k" * 20}"; it takes sha256, rights and expires',
        ),
    ],
)
def test_a_ring_that_cannot_be_read_says_why_and_repeats_little(secret: str, says: str) -> None:
    """What stands there wrongly may be a key: the whole sentence, cut."""
    with pytest.raises(KeyRingError) as raised:
        KeyRing.parse(secret)
    assert str(raised.value) == says


def test_a_credential_is_taken_apart_at_its_first_colon_and_up_to_its_limit() -> None:
    """A key may hold a colon; one character more than the longest credential is nobody's."""
    longest = "k" * LONGEST_CREDENTIAL
    ring = KeyRing({"worker": Key((sha256("a:b"), sha256(longest), sha256(longest + "k")))})
    assert ring.check("worker:a:b") == Verdict("worker", "worker", Rights.ADMIN)
    assert ring.check(longest).accepted == "worker"
    assert ring.check(longest + "k") == Verdict()
    assert ring.check("worker:wrong") == Verdict(claimed="worker")
    assert ring.check("stranger:wrong") == Verdict()
