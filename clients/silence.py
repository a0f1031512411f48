"""No usable answer: the reason, and whether the request may have had its effect anyway."""

from __future__ import annotations


class NoAnswerError(Exception):
    """No usable answer came back: refused, reset, timed out, not resolvable, garbled. The text names no secret.

    Attributes:
        maybe_sent: the request may have reached the API, so its effect may have happened.
    """

    def __init__(self, reason: str, *, maybe_sent: bool) -> None:
        super().__init__(reason)
        self.maybe_sent = maybe_sent
