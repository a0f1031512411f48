"""Everything the Fly clients raise.

FlyError (an ApiError)
├── FlyUnreachableError        no HTTP answer
├── FlyTransientError          408 or 5xx after the retries that are safe
├── FlyRateLimitedError        429 after the retries
├── FlyUnauthorizedError       401: the token is wrong, expired or malformed
├── FlyForbiddenError          403: the token does not reach the object
├── FlyNotFoundError           404
│   └── FlyImageMissingError   the registry does not know the image
├── FlyConflictError           409, 412: somebody else changed the object meanwhile
│   ├── FlyLeaseHeldError      another process holds the machine's lease
│   └── FlyHostError           the machine's host does not answer
├── FlyRefusedError            400, 422 and other refusals
│   ├── FlyNameTakenError
│   ├── FlyCapacityError       the region has no room
│   ├── FlyMachineLimitError   the organization's limit
│   └── FlyPaymentError        no payment card
├── FlyForeignError            the object exists, but is not ours to change
├── FlyUnprovenError           a 404 that this token cannot prove to mean "gone"
├── FlyTimedOutError           something took longer than allowed
└── FlyUnhealthyError          the machine did not get healthy in time
"""

from __future__ import annotations

from clients.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    TransientError,
    UnauthorizedError,
    UnreachableError,
)
from clients.transport import Reply
from clients.wire import Dialect

_SUPPORT = "Run the command again; if it goes on, see https://status.flyio.net and give Fly's support the request id."


class FlyError(ApiError):
    """The Fly API could not do what was asked."""


class FlyUnreachableError(FlyError, UnreachableError):
    """No HTTP answer."""


class FlyTransientError(FlyError, TransientError):
    """408 or 5xx, still there after the retries that are safe."""

    advice = _SUPPORT


class FlyRateLimitedError(FlyError, RateLimitedError):
    """429, still there after the retries."""


class FlyUnauthorizedError(FlyError, UnauthorizedError):
    """401."""

    advice = 'Set FLY_API_TOKEN to a valid token ("fly tokens create org").'


class FlyForbiddenError(FlyError, ForbiddenError):
    """403."""

    advice = "Use a FLY_API_TOKEN of the organization that owns it."


class FlyNotFoundError(FlyError, NotFoundError):
    """404."""

    advice = 'Check the name and the organization, or run "pulumi up --refresh" when it was removed by hand.'


class FlyImageMissingError(FlyNotFoundError):
    """The registry does not know the image (MANIFEST_UNKNOWN), also after the time a fresh push needs to arrive."""

    advice = "Push the image again, or give a reference that exists."


class FlyConflictError(FlyError, ConflictError):
    """409 or 412."""

    advice = "Somebody else is changing the same object: wait until they are done and run the command again."


class FlyLeaseHeldError(FlyConflictError):
    """Another process holds the machine's lease."""

    advice = "Another deploy is at work on this machine: wait for it and run the command again."


class FlyHostError(FlyConflictError):
    """The host that a machine lives on does not answer."""

    advice = "Wait for Fly to repair the host, or replace the machine: pulumi up --replace <its URN>."


class FlyRefusedError(FlyError, RefusedError):
    """400, 422 or another refusal that repeating does not change."""


class FlyNameTakenError(FlyRefusedError):
    """The app's name is in use elsewhere: names are global."""

    advice = "Choose another name (fly.app)."


class FlyCapacityError(FlyRefusedError):
    """No room for the machine in its region."""

    advice = "Choose another region (fly.region) or a smaller machine, or try again later."


class FlyMachineLimitError(FlyRefusedError):
    """The organization may have no more machines."""

    advice = "Remove machines you no longer need, or ask Fly to raise the organization's limit."


class FlyPaymentError(FlyRefusedError):
    """The organization has no payment card."""

    advice = "Add a payment card at https://fly.io/dashboard (Billing) and run the command again."


class FlyForeignError(FlyError):
    """The object exists and belongs to somebody else: another stack, another tool, a person."""


class FlyUnprovenError(FlyError):
    """A 404 that proves nothing: the token may not be allowed to see the object."""

    advice = "Use a FLY_API_TOKEN of the organization that owns it, so that gone can be told from hidden."


class FlyTimedOutError(FlyError):
    """Something took longer than the caller allows."""

    advice = "Allow it more time (timeouts), or fix what holds it up, and run the command again."


class FlyUnhealthyError(FlyError):
    """The machine did not start, or its checks did not pass, in the time allowed."""

    advice = "Fix the cause and run the command again."


_BY_STATUS: dict[int, type[FlyError]] = {
    401: FlyUnauthorizedError,
    403: FlyForbiddenError,
    404: FlyNotFoundError,
    408: FlyTransientError,
    409: FlyConflictError,
    412: FlyConflictError,
    429: FlyRateLimitedError,
}
# What tells a cause apart that shares its status with others; the texts are those listed in the API's own clients.
_BY_TEXT: tuple[tuple[str, type[FlyError]], ...] = (
    ("manifest_unknown", FlyImageMissingError),
    ("manifest unknown", FlyImageMissingError),
    ("lease currently held", FlyLeaseHeldError),
    ("host is unreachable", FlyHostError),
    ("machine limit", FlyMachineLimitError),
    ("payment method", FlyPaymentError),
    ("insufficient_capacity", FlyCapacityError),
    ("insufficient resources", FlyCapacityError),
    ("could not reserve resource", FlyCapacityError),
    ("deploys to this host are temporarily disabled", FlyCapacityError),
)


def said_by(reply: Reply) -> tuple[str, str]:
    """Return the text and the status word of an error reply; both may be missing, and the body may be empty."""
    body = reply.json()
    if not isinstance(body, dict):
        return "the API gave no reason", ""
    text = body.get("error") or body.get("message") or "the API gave no reason"
    return str(text).strip().rstrip("."), str(body.get("status") or "")


def error_of(doing: str, reply: Reply) -> FlyError:
    """Return the typed error for a reply that is no success."""
    text, word = said_by(reply)
    kind: type[FlyError] | None = FlyNameTakenError if word == "name_taken" else None
    lowered = f"{text} {word}".lower()
    for fragment, candidate in _BY_TEXT:
        if kind is None and reply.status not in {401, 403} and fragment in lowered:
            kind = candidate
    if kind is None:
        kind = _BY_STATUS.get(reply.status) or (FlyTransientError if reply.status >= 500 else FlyRefusedError)
    return kind(doing, text, status=reply.status, request_id=reply.request_id)


DIALECT = Dialect(error_of=error_of, unreachable=FlyUnreachableError)
