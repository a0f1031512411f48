"""The sessions that clients send with, and what requests says when no answer came.

Of what a program or a provider imports, this module alone loads requests, and `Transport` loads it when it first needs
it: requests is a tenth of a command's start, and a preview sends nothing (docs/adr/0015).
"""

from __future__ import annotations

from collections.abc import Iterator
from ssl import SSLCertVerificationError

import requests
from requests import RequestException
from urllib3.exceptions import NameResolutionError, NewConnectionError

from clients.endpoints import is_loopback
from clients.silence import NoAnswerError

__all__ = ["RequestException", "new_session", "no_answer"]

# In this order: what connects too slowly is also a Timeout.
_BY_TYPE: tuple[tuple[type[Exception], str, bool], ...] = (
    (requests.ConnectTimeout, "the connection timed out", False),
    (requests.Timeout, "no answer within {read_timeout:.0f} s", True),
    (requests.exceptions.SSLError, "the TLS connection failed", False),
    (requests.exceptions.ContentDecodingError, "the answer cannot be decompressed", True),
    # What requests says of an address, a proxy or a header that it cannot use.
    (ValueError, "the request cannot be sent to this address", False),
)


def new_session(base_url: str) -> requests.Session:
    """Return a session for this address."""
    session = requests.Session()
    # A proxy from the environment must not see, or break, calls to this very machine.
    session.trust_env = not is_loopback(base_url)
    return session


def no_answer(error: requests.RequestException, read_timeout: float) -> NoAnswerError:
    """Return what became of a request, judged by the types of the errors that requests wraps.

    Args:
        error: of requests.
        read_timeout: seconds an answer was waited for.
    """
    causes = list(_causes(error))
    for cause in causes:
        # In OpenSSL's own words, for example "certificate has expired".
        if isinstance(cause, SSLCertVerificationError) and cause.verify_message:
            return NoAnswerError(
                f"its certificate is not accepted: {cause.verify_message.rstrip('.')}", maybe_sent=False
            )
    for kind, reason, maybe_sent in _BY_TYPE:
        if isinstance(error, kind):
            return NoAnswerError(reason.format(read_timeout=read_timeout), maybe_sent=maybe_sent)
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
