"""Key rings that carry a proof of where they come from, and of which is the newer one.

The stack signs each ring with a secret that only its state and its server hold. So it does not matter who carries a
ring or where it lies: a table that somebody else can write, or a request from anybody, can neither let a stranger in
nor bring an older ring back where a newer one is known. clients/signing.py is the other end.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class SignedRing:
    """A key ring as JSON, its generation (a greater one is newer), and the proof for both in 64 hex digits."""

    generation: int
    ring: str = field(repr=False)
    mac: str = field(repr=False)


class Signer:
    """Makes and checks proofs with the stack's signing secret.

    Attributes:
        id: names the secret without telling it, so that stacks in one database do not meet.
        publisher: what whoever may exchange the ring shows, before anything that he sends is read.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self.id = self._mac("signer")[:32]
        self.publisher = self._mac("publisher")

    def sign(self, generation: int, ring: str) -> SignedRing:
        """Sign a ring; the text counts, to the letter."""
        return SignedRing(generation=generation, ring=ring, mac=self._mac(f"ring {generation} {ring}"))

    def is_genuine(self, given: SignedRing) -> bool:
        """Tell whether our secret signed it."""
        expected = self.sign(given.generation, given.ring).mac
        return hmac.compare_digest(expected.encode(), given.mac.encode(errors="surrogatepass"))

    def _mac(self, text: str) -> str:
        return hmac.new(self._secret, f"prefect-fly {text}".encode(errors="surrogatepass"), hashlib.sha256).hexdigest()
