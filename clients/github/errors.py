"""What can go wrong with the GitHub API.

GitHubError (an ApiError)
├── GitHubUnauthorizedError   401, or no token at all
├── GitHubForbiddenError      403: the token lacks a permission
├── GitHubNotFoundError       404: absent, or not visible to this token
├── GitHubRefusedError        400, 409, 422: the request itself is wrong
├── GitHubRateLimitedError    429, or a 403 that is a rate limit
├── GitHubTransientError      5xx, after the retries that are safe
│   └── GitHubUnreachableError    no HTTP answer
└── GitHubUnclearError        a dispatch may have been accepted: look for its run before doing anything else
"""

from __future__ import annotations

from clients.errors import (
    ApiError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    TransientError,
    UnauthorizedError,
    UnclearError,
    UnreachableError,
)
from clients.transport import Reply
from clients.wire import Dialect

_SCOPES = (
    "Set GITHUB_TOKEN to a token for this repository with the permissions Actions (read and write), Secrets (read and "
    "write) and Metadata (read), with github.environment also Environments (read and write)."
)


class GitHubError(ApiError):
    """The GitHub API did not do what was asked."""


class GitHubUnauthorizedError(GitHubError, UnauthorizedError):
    """The token is missing, wrong or expired."""

    advice = _SCOPES


class GitHubForbiddenError(GitHubError, ForbiddenError):
    """The token lacks a permission."""

    advice = _SCOPES


class GitHubNotFoundError(GitHubError, NotFoundError):
    """The object is absent, or the token may not see it: GitHub answers both alike."""

    advice = _SCOPES


class GitHubRefusedError(GitHubError, RefusedError):
    """The request was understood and refused; the text holds GitHub's reason."""

    advice = "Correct the setting that GitHub names, then run it again."


class GitHubRateLimitedError(GitHubError, RateLimitedError):
    """The token's request limit is used up."""

    advice = "Wait until the limit of this token is renewed, then run it again."


class GitHubTransientError(GitHubError, TransientError):
    """GitHub is in trouble."""

    advice = "See https://www.githubstatus.com, then run it again."


class GitHubUnreachableError(GitHubTransientError, UnreachableError):
    """No HTTP answer."""

    advice = "Check the network and https://www.githubstatus.com, then run it again."


class GitHubUnclearError(GitHubError, UnclearError):
    """A dispatch may have had its effect although no proper answer came."""

    advice = "It may have been accepted all the same: run it again, it looks for the run first."


def is_rate_limit(reply: Reply) -> bool:
    """Tell whether `reply` is a primary or secondary rate limit, which GitHub sends as 429 or as 403."""
    if reply.status == 429:
        return True
    if reply.status != 403:
        return False
    exhausted = reply.headers.get("x-ratelimit-remaining") == "0"
    return exhausted or "Retry-After" in reply.headers or b"rate limit" in reply.body.lower()


def error_of(doing: str, reply: Reply) -> GitHubError:
    """Return the typed error for a reply that is no success."""
    kind, advice = _kind_of(reply)
    body = reply.json()
    said = body.get("message") if isinstance(body, dict) else None
    text = str(said).strip().rstrip(".") if said else "the API gave no reason"
    return kind(doing, text, status=reply.status, request_id=reply.request_id, advice=advice)


def _kind_of(reply: Reply) -> tuple[type[GitHubError], str]:
    if is_rate_limit(reply):
        return GitHubRateLimitedError, ""
    if reply.status in {301, 302, 307, 308}:
        return GitHubRefusedError, "The repository seems to have been renamed: set its present owner/name."
    default: type[GitHubError] = GitHubRefusedError if reply.status < 500 else GitHubTransientError
    return _BY_STATUS.get(reply.status, default), ""


_BY_STATUS: dict[int, type[GitHubError]] = {
    401: GitHubUnauthorizedError,
    403: GitHubForbiddenError,
    404: GitHubNotFoundError,
    408: GitHubTransientError,
}
DIALECT = Dialect(error_of=error_of, unreachable=GitHubUnreachableError)
