"""No usable answer: the reason, and whether the request may have had its effect anyway."""

from __future__ import annotations

from collections.abc import Iterator

import requests
from urllib3.exceptions import NameResolutionError, NewConnectionError


class NoAnswerError(Exception):
    """No usable answer came back: refused, reset, timed out, not resolvable, garbled. The text names no secret.

    Attributes:
        maybe_sent: the request may have reached the API, so its effect may have happened.
    """

    def __init__(self, reason: str, *, maybe_sent: bool) -> None:
        super().__init__(reason)
        self.maybe_sent = maybe_sent


def no_answer(error: requests.RequestException, read_timeout: float) -> NoAnswerError:
    """Return what became of a request, judged by the types of the errors that requests wraps.

    Args:
        error: of requests.
        read_timeout: seconds an answer was waited for.
    """
    if isinstance(error, requests.ConnectTimeout):
        return NoAnswerError("the connection timed out", maybe_sent=False)
    if isinstance(error, requests.Timeout):
        return NoAnswerError(f"no answer within {read_timeout:.0f} s", maybe_sent=True)
    if isinstance(error, requests.exceptions.SSLError):
        return NoAnswerError("the TLS connection failed", maybe_sent=False)
    causes = list(_causes(error))
    if any(isinstance(cause, NameResolutionError) for cause in causes):
        return NoAnswerError("the host name could not be resolved", maybe_sent=False)
    if any(isinstance(cause, NewConnectionError | ConnectionRefusedError) for cause in causes):
        return NoAnswerError("the connection was refused", maybe_sent=False)
    return NoAnswerError("the connection broke before the answer", maybe_sent=True)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and everything it wraps: requests keeps urllib3's in `args`, and that one's in `reason`."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [*current.args, getattr(current, "reason", None), current.__cause__, current.__context__]
