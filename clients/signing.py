"""The proof that a key ring is the stack's, and of which generation; the image checks it.

HMAC-SHA256 with a signing secret that only the state and the server's app hold (docs/adr/0012).
"""

from __future__ import annotations

import hashlib
import hmac


def ring_mac(secret: str, generation: int, ring: str) -> str:
    """Return the proof for a ring, whose text counts to the letter, and its generation: 64 hex digits."""
    return _mac(secret, f"ring {generation} {ring}")


def publisher(secret: str) -> str:
    """Return the credential with which a server takes a ring at all."""
    return _mac(secret, "publisher")


def _mac(secret: str, text: str) -> str:
    return hmac.digest(secret.encode(), f"prefect-fly {text}".encode(), hashlib.sha256).hex()
