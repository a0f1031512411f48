"""Everything that our API clients raise.

    ApiError
    ├── by kind                     what a caller can do about it, whichever the API
    │   ├── UnreachableError            no HTTP answer; `maybe_sent` tells whether the request may have had its effect
    │   ├── TransientError              408 or 5xx, still there after the retries that are safe
    │   ├── RateLimitedError            429, still there after the retries
    │   ├── UnauthorizedError           401, or no token at all
    │   ├── ForbiddenError              403: the token lacks a right
    │   ├── NotFoundError               404: absent, or not visible to this token
    │   ├── ConflictError               409, 412: somebody else changed the object meanwhile
    │   ├── RefusedError                400, 422 and other refusals that repeating does not change
    │   └── UnclearError                an unrepeatable call may have had its effect: look before trying again
    └── by API                      each class below is of its API and of one kind
        ├── FlyError                    clients.fly.errors
        ├── GitHubError                 clients.github.errors
        ├── BetterStackError            clients.better_stack
        └── PrefectError                clients.prefect

Each text is one sentence that stands alone, then what to do next:

    could not <verb> <kind> "<name>": <what the API said> (HTTP nnn, request id …). <what to do next>.

What an API or a program said passes `redacted` here, so that no text of an error holds a credential.
"""

from __future__ import annotations

from collections.abc import Sequence

from clients.redaction import one_line, redacted

_LONGEST_ID = 100


class ApiError(Exception):
    """An API did not do what was asked.

    Args:
        doing: what was asked, without "could not", for example `create app "shop"`.
        said: what the API said, or what was seen.
        status: HTTP status, None without an answer.
        request_id: the API's id of the request, empty when it sent none.
        advice: what to do next; the class has a general one.
        log: lines of a program's log, shown below the sentence.

    The arguments are attributes as well, `said` and `log` without credentials.
    """

    advice = "Correct what the message names and run the command again."

    def __init__(
        self,
        doing: str,
        said: str,
        *,
        status: int | None = None,
        request_id: str = "",
        advice: str = "",
        log: Sequence[str] = (),
    ) -> None:
        self.doing, self.said = doing, one_line(said)
        self.status, self.request_id = status, one_line(request_id, _LONGEST_ID)
        self.log = tuple(redacted(line) for line in log)
        if advice:
            self.advice = advice
        super().__init__(self._text())

    def _text(self) -> str:
        known = [
            f"HTTP {self.status}" if self.status else "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        where = ", ".join(part for part in known if part)
        sentence = f"could not {self.doing}: {self.said}{f' ({where})' if where else ''}. {self.advice}"
        return "\n  | ".join([f"{sentence}\nThe last log lines:", *self.log]) if self.log else sentence


class UnreachableError(ApiError):
    """No HTTP answer; `maybe_sent` tells whether the request may have had its effect."""

    advice = "Check the network and run the command again: what was done already is found and kept."
    maybe_sent = True


class TransientError(ApiError):
    """408 or 5xx, still there after the retries that are safe."""


class RateLimitedError(ApiError):
    """429, still there after the retries."""

    advice = "Wait a minute and run the command again; other tools may be using the same token."


class UnauthorizedError(ApiError):
    """401, or no token at all."""


class ForbiddenError(ApiError):
    """403: the token lacks a right."""


class NotFoundError(ApiError):
    """404: absent, or not visible to this token."""


class ConflictError(ApiError):
    """409 or 412: somebody else changed the object meanwhile."""


class RefusedError(ApiError):
    """400, 422 or another refusal that repeating does not change."""


class UnclearError(ApiError):
    """A call that must not be repeated may have had its effect: look for it before trying again."""
