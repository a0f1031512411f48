"""Named API keys, known only by their SHA-256, each with rights and, where wanted, a time from which it is refused.

The secret PREFECT_FLY_API_KEYS is JSON: name -> hash, or -> list of hashes while a consumer's key is rotated, or ->
`{"sha256": [hash, ...], "rights": "viewer" | "operator" | "admin", "expires": "2027-01-31T00:00:00Z"}`. Without rights
a key is an admin's, without a time it never expires.

A client presents `<key>` or `<name>:<key>`; the latter is what Prefect's own clients send on websockets and what the
UI's login sends.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum

NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}")
# A key of ours is 43 characters; anything much longer is not worth hashing.
LONGEST_CREDENTIAL = 1024


class KeyRingError(ValueError):
    """The secret with the key hashes cannot be used; the text says why and holds no hash."""


class Rights(IntEnum):
    """What a key may do; each includes the ones before it."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def named(cls, name: object) -> Rights | None:
        """Return the rights of that name; None when there are none."""
        return next((each for each in cls if str(each) == name), None)


@dataclass(frozen=True)
class Key:
    """One name's entry: its hashes, what it may do, and the time from which it is refused (with a time zone)."""

    hashes: tuple[str, ...]
    rights: Rights = Rights.ADMIN
    expires: datetime | None = None

    def as_json(self) -> dict[str, object]:
        """Return the entry as the secret holds it, with everything said."""
        expires = {"expires": rfc3339(self.expires)} if self.expires else {}
        return {"sha256": list(self.hashes), "rights": str(self.rights), **expires}


@dataclass(frozen=True)
class Verdict:
    """What a credential turned out to be.

    Attributes:
        accepted: the name it is valid for.
        claimed: otherwise the known name it claimed, if any.
        rights: of the accepted name.
        expires: when the accepted key expires, or when the refused one did, which was valid until then.
    """

    accepted: str | None = None
    claimed: str | None = None
    rights: Rights | None = None
    expires: datetime | None = None

    @property
    def expired(self) -> bool:
        """Tell whether it was refused only for its age."""
        return self.accepted is None and self.expires is not None

    def why_refused(self) -> str:
        """Say more than "Unauthorized" only to whoever holds a key that was valid once."""
        if not self.expires:
            return "Unauthorized"
        return f'The key "{self.claimed}" expired at {rfc3339(self.expires)}: ask an administrator for a later date.'

    def who(self) -> dict[str, object]:
        """The body of GET /gate/whoami."""
        expires = rfc3339(self.expires) if self.expires else None
        return {"name": self.accepted, "rights": str(self.rights), "expires": expires}


NOBODY = Verdict()


def sha256(text: str) -> str:
    """Hash a key as the secret holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


def rfc3339(moment: datetime) -> str:
    """Write a time as the secret holds it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class KeyRing:
    """The accepted keys by name. Comparing takes the same time whichever hash fits, or none.

    Args:
        keys: at least one name, unless nobody is to get in.
        clock: unix seconds, for the keys that expire.
    """

    def __init__(self, keys: Mapping[str, Key], *, clock: Callable[[], float] = time.time) -> None:
        self.keys = dict(keys)
        self.names = frozenset(keys)
        self._clock = clock
        self._hashes = [(name, value.encode()) for name, key in keys.items() for value in key.hashes]

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read the secret.

        Raises:
            KeyRingError: no JSON object of names and entries, or an empty one: a server nobody can use.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise KeyRingError("it is not JSON") from error
        if not isinstance(raw, dict) or not raw:
            raise KeyRingError("it must be a JSON object that maps at least one key's name to its SHA-256")
        return cls({name: _parse_key(name, value) for name, value in raw.items()})

    def with_key(self, name: str, key: str) -> KeyRing:
        """The same ring with one more key; a name that was not in it is an admin."""
        known = self.keys.get(name, Key(()))
        return KeyRing({**self.keys, name: replace(known, hashes=(*known.hashes, sha256(key)))}, clock=self._clock)

    def check(self, credential: str | None) -> Verdict:
        """Judge `<key>` or `<name>:<key>`. A text that cannot be encoded is a wrong credential, not an error."""
        if not credential or len(credential) > LONGEST_CREDENTIAL:
            return NOBODY
        name, _, secret = credential.partition(":")
        try:
            bare, named = sha256(credential).encode(), sha256(secret).encode()
        except UnicodeEncodeError:  # a lone surrogate, which JSON can carry
            return NOBODY
        found: str | None = None
        for known, expected in self._hashes:
            fits = hmac.compare_digest(expected, bare)
            fits |= hmac.compare_digest(expected, named) & (known == name)
            found = known if fits else found
        if found is None:
            return Verdict(claimed=name if name in self.names else None)
        return self._judge_age(found)

    def _judge_age(self, name: str) -> Verdict:
        key = self.keys[name]
        if key.expires is not None and self._clock() >= key.expires.timestamp():
            return Verdict(claimed=name, expires=key.expires)
        return Verdict(accepted=name, claimed=name, rights=key.rights, expires=key.expires)


def _parse_key(name: str, value: object) -> Key:
    """Read one entry. What stands there wrongly may be the key itself, so it is never repeated."""
    if not NAME.fullmatch(name):
        raise KeyRingError(f'the name "{name[:64]}" must be 1 to 64 letters, digits, ".", "_" or "-"')
    if not isinstance(value, dict):
        return Key(_hashes_of(name, value))
    if unknown := sorted(set(value) - {"sha256", "rights", "expires"}):
        raise KeyRingError(f'the entry of "{name}" holds "{unknown[0][:20]}"; it takes sha256, rights and expires')
    rights = Rights.named(value.get("rights", str(Rights.ADMIN)))
    if rights is None:
        raise KeyRingError(f'the rights of "{name}" must be {", ".join(map(str, Rights))}')
    return Key(_hashes_of(name, value.get("sha256")), rights, _expires_of(name, value.get("expires")))


def _hashes_of(name: str, value: object) -> tuple[str, ...]:
    given: list[object] = value if isinstance(value, list) else [value]
    values = tuple(each for each in given if isinstance(each, str) and HASH.fullmatch(each))
    if not values or len(values) != len(given):
        raise KeyRingError(f'the value of "{name}" must be a SHA-256 in 64 lower-case hex digits, or a list of them')
    return values


def _expires_of(name: str, value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # a time that is none, or that no year of UTC has
        pass
    raise KeyRingError(f'the expiry of "{name}" must be a time with its zone, such as 2027-01-31T00:00:00Z')
