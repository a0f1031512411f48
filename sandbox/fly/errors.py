"""The refusals of the emulated Machines API.

FlyProblem
├── NotFound, Unauthorized, Forbidden     who may see what
├── BadRequest, Unprocessable             what was asked is wrong
├── Conflict, PreconditionFailed          somebody or something else is in the way
├── DeadlineExceeded                      a wait that ran out
└── RateLimited                           too fast

Body and codes: fly.io/docs/machines/api and the published OpenAPI description (`ErrorResponse`).
"""

from __future__ import annotations

from typing import Any


class FlyProblem(Exception):  # noqa: N818 - what the API calls an error is an answer here
    """A refusal: the HTTP status, the text of `error` and, for a few, the machine-readable `status`."""

    http_status = 500

    def __init__(self, text: str, *, code: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.code = code

    def body(self) -> dict[str, Any]:
        """Return the JSON of the answer."""
        body: dict[str, Any] = {"error": self.text}
        if self.code is not None:
            body["status"] = self.code
        return body


class NotFound(FlyProblem):
    """No such app, machine, secret, address."""

    http_status = 404


class Unauthorized(FlyProblem):
    """No token, or one nobody knows."""

    http_status = 401


class Forbidden(FlyProblem):
    """A token that does not cover this organization or app."""

    http_status = 403


class BadRequest(FlyProblem):
    """The request cannot be understood or names an image that is not there."""

    http_status = 400


class Unprocessable(FlyProblem):
    """The request is understood and not possible: name taken, limit reached."""

    http_status = 422


class Conflict(FlyProblem):
    """A lease held by somebody else, a host that does not answer."""

    http_status = 409


class PreconditionFailed(FlyProblem):
    """The machine is not in a state, or not at the version, that the call needs."""

    http_status = 412


class DeadlineExceeded(FlyProblem):
    """A machine did not reach the state that was waited for."""

    http_status = 408


class RateLimited(FlyProblem):
    """More than one call a second for one action and app or machine."""

    http_status = 429
