"""What Prefect's API answers when it does not do what was asked.

    PrefectApiError (a PrefectError)
    ├── PrefectApiUnauthorizedError   401
    ├── PrefectApiForbiddenError      403
    ├── PrefectApiNotFoundError       404 in Prefect's own form: the object is not there
    ├── PrefectApiConflictError       409
    ├── PrefectApiRefusedError        other 4xx
    │   └── PrefectApiForeignError        it exists and is not ours
    ├── PrefectApiRateLimitedError    429, after the retries
    └── PrefectApiTransientError      408 or 5xx, and a 404 that is not Prefect's: something else answers there
        └── PrefectApiUnreachableError    no HTTP answer

Of a refused request only places and reasons are repeated: it may hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clients.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    TransientError,
    UnauthorizedError,
    UnreachableError,
)
from clients.prefect import PrefectError
from clients.transport import Reply
from clients.wire import Dialect

_KEY = 'Run "pulumi up" if a key was just rotated, or correct cloudApiKey.'
_SERVER = "See that the server is up (python -m ops status), then run it again."


class PrefectApiError(PrefectError):
    """Prefect's API did not do what was asked."""


class PrefectApiUnauthorizedError(PrefectApiError, UnauthorizedError):
    """The key is missing, wrong or revoked."""

    advice = _KEY


class PrefectApiForbiddenError(PrefectApiError, ForbiddenError):
    """The key may not do this."""

    advice = "Give the key more rights, or correct what the message names."


class PrefectApiNotFoundError(PrefectApiError, NotFoundError):
    """There is no such object."""

    advice = 'Run "pulumi up --refresh" to make it again.'


class PrefectApiConflictError(PrefectApiError, ConflictError):
    """An object of that name is there already."""


class PrefectApiRefusedError(PrefectApiError, RefusedError):
    """The request was understood and refused."""

    advice = "Correct the setting that it names, then run it again."


class PrefectApiForeignError(PrefectApiRefusedError):
    """It exists and this stack did not make it."""


class PrefectApiRateLimitedError(PrefectApiError, RateLimitedError):
    """Too many requests, also after the retries."""


class PrefectApiTransientError(PrefectApiError, TransientError):
    """The server is in trouble, or something else answers at its address."""

    advice = _SERVER


class PrefectApiUnreachableError(PrefectApiTransientError, UnreachableError):
    """No HTTP answer."""

    advice = _SERVER


_BY_STATUS: Mapping[int, type[PrefectApiError]] = {
    401: PrefectApiUnauthorizedError,
    403: PrefectApiForbiddenError,
    408: PrefectApiTransientError,
    409: PrefectApiConflictError,
    429: PrefectApiRateLimitedError,
}


def error_of(doing: str, reply: Reply) -> PrefectApiError:
    """Return the typed error for a reply that is no success."""
    kind = _BY_STATUS.get(reply.status)
    if kind is None and reply.status == 404:
        # A proxy in front of nothing answers 404 as well, and that must not read as "gone".
        kind = PrefectApiNotFoundError if isinstance(reply.json(), dict) else PrefectApiTransientError
    if kind is None:
        kind = PrefectApiRefusedError if reply.status < 500 else PrefectApiTransientError
    return kind(doing, _said(reply.json()), status=reply.status)


DIALECT = Dialect(error_of=error_of, unreachable=PrefectApiUnreachableError)


def _said(body: Any) -> str:
    """Return the API's words. Of a validation only place and reason: it repeats the request, which holds secrets."""
    if not isinstance(body, dict):
        return "it gave no reason"
    detail = body.get("exception_detail") or body.get("detail") or body.get("exception_message")
    if isinstance(detail, list):
        detail = "; ".join(_problem(each) for each in detail)
    return str(detail).strip().rstrip(".") if detail else "it gave no reason"


def _problem(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    place = ".".join(str(part) for part in entry.get("loc") or () if part != "body")
    return f"{place}: {entry.get('msg')}"
