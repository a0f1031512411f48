"""What can go wrong with the GitHub API.

GitHubError
├── GitHubUnauthorizedError   401, or no token at all
├── GitHubForbiddenError      403: the token lacks a permission
├── GitHubNotFoundError       404: absent, or not visible to this token
├── GitHubRefusedError        400, 409, 422: the request itself is wrong
├── GitHubRateLimitedError    429, or a 403 that is a rate limit
└── GitHubTransientError      5xx or no answer, after the retries that are safe
    └── GitHubUnclearError    a dispatch may have been accepted: look for its run before doing anything else
"""

from __future__ import annotations

from clients.transport import NoAnswerError, Reply

SCOPES_ADVICE = (
    "Set GITHUB_TOKEN to a token for this repository with the permissions Actions (read and write), Secrets (read and "
    "write) and Metadata (read)."
)


class GitHubError(Exception):
    """The GitHub API did not do what was asked.

    Attributes:
        status: HTTP status, 0 without an answer.
        request_id: the API's X-GitHub-Request-Id, empty when it sent none.
    """

    def __init__(self, message: str, *, status: int = 0, request_id: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class GitHubUnauthorizedError(GitHubError):
    """The token is missing, wrong or expired."""


class GitHubForbiddenError(GitHubError):
    """The token lacks a permission."""


class GitHubNotFoundError(GitHubError):
    """The object is absent, or the token may not see it: GitHub answers both alike."""


class GitHubRefusedError(GitHubError):
    """The request was understood and refused; the text holds GitHub's reason."""


class GitHubRateLimitedError(GitHubError):
    """The token's request limit is used up."""


class GitHubTransientError(GitHubError):
    """GitHub is in trouble or cannot be reached."""


class GitHubUnclearError(GitHubTransientError):
    """A request that is not idempotent may have had its effect although no proper answer came."""


def is_rate_limit(reply: Reply) -> bool:
    """Tell whether `reply` is a primary or secondary rate limit, which GitHub sends as 429 or as 403."""
    if reply.status == 429:
        return True
    if reply.status != 403:
        return False
    exhausted = reply.headers.get("x-ratelimit-remaining") == "0"
    return exhausted or "Retry-After" in reply.headers or b"rate limit" in reply.body.lower()


def describe(reply: Reply) -> str:
    """Return GitHub's own words for an error, with status and request id, for the middle of a sentence."""
    body = reply.json()
    said = body.get("message") if isinstance(body, dict) else None
    text = str(said).strip().rstrip(".") if said else "no reason given"
    request_id = f", request id {reply.request_id}" if reply.request_id else ""
    return f"{text} (HTTP {reply.status}{request_id})"


def from_reply(reply: Reply, what: str, *, advice: str = "") -> GitHubError:
    """Return the error for a reply that is not 2xx.

    Args:
        reply: the answer.
        what: 'could not <verb> <kind> "<name>"'.
        advice: what to do next about a 404 or a refusal; the other causes have their own.
    """
    kind: type[GitHubError]
    if reply.status == 401:
        kind, then = GitHubUnauthorizedError, SCOPES_ADVICE
    elif is_rate_limit(reply):
        kind, then = GitHubRateLimitedError, "Wait until the limit of this token is renewed, then run it again."
    elif reply.status == 403:
        kind, then = GitHubForbiddenError, SCOPES_ADVICE
    elif reply.status == 404:
        kind, then = GitHubNotFoundError, advice or SCOPES_ADVICE
    elif reply.status in {301, 302, 307, 308}:
        kind, then = GitHubRefusedError, "The repository seems to have been renamed: set its present owner/name."
    elif reply.status < 500:
        kind, then = GitHubRefusedError, advice or "Correct the setting that GitHub names, then run it again."
    else:
        kind, then = GitHubTransientError, "See https://www.githubstatus.com, then run it again."
    return kind(f"{what}: {describe(reply)}. {then}", status=reply.status, request_id=reply.request_id)


def from_silence(silence: NoAnswerError, what: str) -> GitHubTransientError:
    """Return the error for a call that got no answer."""
    return GitHubTransientError(
        f"{what}: {silence}. Check the network and https://www.githubstatus.com, then run it again."
    )
