"""Named API keys, known only by their SHA-256.

The secret PREFECT_FLY_API_KEYS is JSON: name -> hash, or name -> list of hashes while a consumer's key is rotated.
A client presents `<key>` or `<name>:<key>`; the latter is what Prefect's own clients send on websockets and what the
UI's login sends.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}")
# A key of ours is 43 characters; anything much longer is not worth hashing.
LONGEST_CREDENTIAL = 1024


class KeyRingError(ValueError):
    """The secret with the key hashes cannot be used; the text says why and holds no hash."""


@dataclass(frozen=True)
class Verdict:
    """What a credential turned out to be: the name it is valid for, or else the known name it claimed, if any."""

    accepted: str | None = None
    claimed: str | None = None


NOBODY = Verdict()


def sha256(text: str) -> str:
    """Hash a key as the secret holds it."""
    return hashlib.sha256(text.encode()).hexdigest()


class KeyRing:
    """The accepted keys. Comparing takes the same time whichever hash fits, or none."""

    def __init__(self, hashes: Mapping[str, Sequence[str]]) -> None:
        self._by_name = dict(hashes)
        self._hashes = [(name, value.encode()) for name, values in hashes.items() for value in values]
        self.names = frozenset(hashes)

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read the secret.

        Raises:
            KeyRingError: no JSON object of names and SHA-256 values, or an empty one: a server nobody can use.
        """
        try:
            raw = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise KeyRingError("it is not JSON") from error
        if not isinstance(raw, dict) or not raw:
            raise KeyRingError("it must be a JSON object that maps at least one key's name to its SHA-256")
        return cls({name: _hashes_of(name, value) for name, value in raw.items()})

    def with_key(self, name: str, key: str) -> KeyRing:
        """The same ring with one more key."""
        return KeyRing({**self._by_name, name: [*self._by_name.get(name, []), sha256(key)]})

    def check(self, credential: str | None) -> Verdict:
        """Judge `<key>` or `<name>:<key>`. A text that cannot be encoded is a wrong credential, not an error."""
        if not credential or len(credential) > LONGEST_CREDENTIAL:
            return NOBODY
        name, _, secret = credential.partition(":")
        try:
            bare, named = sha256(credential).encode(), sha256(secret).encode()
        except UnicodeEncodeError:  # a lone surrogate, which JSON can carry
            return NOBODY
        accepted: str | None = None
        for known, expected in self._hashes:
            fits = hmac.compare_digest(expected, bare)
            fits |= hmac.compare_digest(expected, named) & (known == name)
            accepted = known if fits else accepted
        return Verdict(accepted=accepted, claimed=name if name in self.names else None)


def _hashes_of(name: str, value: object) -> list[str]:
    if not NAME.fullmatch(name):
        raise KeyRingError(f'the name "{name[:64]}" must be 1 to 64 letters, digits, ".", "_" or "-"')
    given: list[object] = value if isinstance(value, list) else [value]
    values = [each for each in given if isinstance(each, str) and HASH.fullmatch(each)]
    if not values or len(values) != len(given):
        raise KeyRingError(f'the value of "{name}" must be a SHA-256 in 64 lower-case hex digits, or a list of them')
    return values
