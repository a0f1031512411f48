"""One end of a stream of bytes that travels in messages, of which some get lost and some arrive twice.

A message says where its bytes belong and how far the other end's have come, so a repeated one changes nothing. This
file stands twice, in the image and in ops/, which are installed apart; a test holds the two alike.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any


class StreamGapError(Exception):
    """A message continues what never arrived; the text says what."""


class StreamEnd:
    """What one end has sent and not yet seen arrive, and how far it has come with what it receives.

    Attributes:
        received: bytes of the other end, from its first on, that were taken.
    """

    def __init__(self) -> None:
        self.received = 0
        self._start = 0
        self._kept = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes that are kept, because nobody said yet that they arrived."""
        return len(self._kept)

    def send(self, data: bytes) -> None:
        """Put more bytes at the end of what the other end is to get."""
        self._kept += data

    def message(self, most: int) -> dict[str, Any]:
        """Return the next message, with `most` bytes of what is kept; the same again until they arrived."""
        data = b64encode(self._kept[:most]).decode()
        return {"offset": self._start, "data": data, "received": self.received}

    def acknowledge(self, message: Mapping[str, Any]) -> None:
        """Forget what the other end has.

        Raises:
            StreamGapError: it says that it has more than was sent.
        """
        arrived = int(message["received"]) - self._start
        if arrived > len(self._kept):
            raise StreamGapError(f"{arrived - len(self._kept)} bytes arrived that were not sent")
        if arrived > 0:
            del self._kept[:arrived]
            self._start += arrived

    def take(self, message: Mapping[str, Any]) -> bytes:
        """Return the bytes of a message that were not taken before.

        Raises:
            StreamGapError: bytes before them are missing.
        """
        known = self.received - int(message["offset"])
        if known < 0:
            raise StreamGapError(f"{-known} bytes are missing")
        fresh = b64decode(message["data"])[known:]
        self.received += len(fresh)
        return fresh
