"""What we ask of Better Stack Uptime: one monitor per URL.

    BetterStackError
    ├── BetterStackUnauthorizedError   401, or no token at all
    ├── BetterStackForbiddenError      403
    ├── BetterStackNotFoundError       404
    ├── BetterStackRefusedError        other 4xx: the request itself is wrong
    ├── BetterStackRateLimitedError    429 after the retries
    └── BetterStackTransientError      5xx or no answer
        └── BetterStackUnclearError    a create may have happened: look for the URL before trying again

Source of the wire facts: the Terraform provider betterstackhq/better-uptime 0.21 and the public API documentation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, quote, urlsplit

from clients.endpoints import BETTER_STACK, World, base_url
from clients.transport import Api, Call, NoAnswerError, Progress, Reply, Transport, print_progress

SCOPES_ADVICE = "Set BETTERSTACK_API_TOKEN to an Uptime API token of the team that owns the monitors."
_STATUS_PAGE = "See https://status.betterstack.com, then run it again."


class BetterStackError(Exception):
    """The Better Stack API did not do what was asked.

    Attributes:
        status: HTTP status, 0 without an answer.
    """

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class BetterStackUnauthorizedError(BetterStackError):
    """The token is missing, wrong or revoked."""


class BetterStackForbiddenError(BetterStackError):
    """The token may not do this, or the plan does not include it."""


class BetterStackNotFoundError(BetterStackError):
    """The team of this token has no such monitor."""


class BetterStackRefusedError(BetterStackError):
    """The request was understood and refused; the text holds the reason."""


class BetterStackRateLimitedError(BetterStackError):
    """Too many requests, also after the retries."""


class BetterStackTransientError(BetterStackError):
    """Better Stack is in trouble or cannot be reached."""


class BetterStackUnclearError(BetterStackTransientError):
    """A create may have had its effect although no proper answer came."""


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """A monitor: its id (a string) and its attributes as the API names them, `status` among them."""

    id: str
    attributes: Mapping[str, Any] = field(repr=False)

    @property
    def url(self) -> str:
        """Return the address that is polled."""
        return str(self.attributes.get("url") or "")

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """Read one JSON:API object."""
        return cls(id=str(entry["id"]), attributes=dict(entry.get("attributes") or {}))


class BetterStackClient:
    """Calls of one token."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    def from_environment(
        cls, world: World, environ: Mapping[str, str] = os.environ, progress: Progress = print_progress
    ) -> Self:
        """Build a client from BETTERSTACK_API_TOKEN and BETTERSTACK_BASE_URL.

        Raises:
            BetterStackUnauthorizedError: BETTERSTACK_API_TOKEN is not set.
            WrongWorldError: the address does not belong to `world`.
        """
        address = base_url(BETTER_STACK, world, environ)
        token = environ.get("BETTERSTACK_API_TOKEN", "").strip()
        if not token:
            raise BetterStackUnauthorizedError(
                f'could not use Better Stack API "{address}": BETTERSTACK_API_TOKEN is not set. {SCOPES_ADVICE}'
            )
        headers = {"Authorization": f"Bearer {token}"}
        api = Api(base_url=address, title="Better Stack API", headers=headers, request_id_header="X-Request-Id")
        return cls(Transport(api, progress=progress))

    def check_token(self) -> None:
        """Prove that the token is accepted, with the cheapest call there is.

        Raises:
            BetterStackUnauthorizedError: it is not.
            BetterStackError: any other refusal.
        """
        self._send(Call(method="GET", path="/api/v2/monitors", params={"per_page": 1}), 'could not list monitor "any"')

    def find(self, url: str) -> tuple[Monitor, ...]:
        """Return the monitors of exactly `url`, oldest first; the API's own filter may match more.

        Raises:
            BetterStackError: they cannot be listed.
        """
        found = [monitor for monitor in self._pages(url) if monitor.url == url]
        return tuple(sorted(found, key=lambda monitor: (len(monitor.id), monitor.id)))

    def get(self, monitor_id: str) -> Monitor:
        """Return one monitor.

        Raises:
            BetterStackNotFoundError: the team of this token has none of this id.
            BetterStackError: any other refusal.
        """
        call = Call(method="GET", path=_path(monitor_id))
        return _monitor(self._send(call, f'could not read monitor "{monitor_id}"'))

    def create(self, attributes: Mapping[str, Any]) -> Monitor:
        """Create a monitor. Not idempotent: look with `find` first, and again after BetterStackUnclearError.

        Raises:
            BetterStackUnclearError: it may exist now.
            BetterStackError: any refusal.
        """
        what = f'could not create monitor "{attributes.get("url")}"'
        call = Call(method="POST", path="/api/v2/monitors", json=dict(attributes))
        try:
            return _monitor(self._send(call, what))
        except BetterStackTransientError as trouble:
            if isinstance(trouble.__cause__, NoAnswerError) and not trouble.__cause__.maybe_sent:
                raise
            raise BetterStackUnclearError(str(trouble), status=trouble.status) from trouble

    def update(self, monitor_id: str, attributes: Mapping[str, Any]) -> Monitor:
        """Change the given attributes in place and return the monitor.

        Raises:
            BetterStackNotFoundError: it is gone.
            BetterStackError: any other refusal.
        """
        call = Call(method="PATCH", path=_path(monitor_id), json=dict(attributes), idempotent=True)
        return _monitor(self._send(call, f'could not update monitor "{monitor_id}"'))

    def delete(self, monitor_id: str) -> None:
        """Delete a monitor.

        Raises:
            BetterStackNotFoundError: it is gone already.
            BetterStackError: any other refusal.
        """
        call = Call(method="DELETE", path=_path(monitor_id), idempotent=True)
        self._send(call, f'could not delete monitor "{monitor_id}"')

    def _pages(self, url: str) -> Iterator[Monitor]:
        params: dict[str, str | int] = {"url": url, "per_page": 250}
        while True:
            call = Call(method="GET", path="/api/v2/monitors", params=params)
            body = self._send(call, f'could not list monitors of "{url}"').json() or {}
            yield from (Monitor.of(entry) for entry in body.get("data") or [])
            following = (body.get("pagination") or {}).get("next")
            if not following:
                return
            # Only the query is taken over: the link's host is not ours to follow with a token.
            params = {key: values[-1] for key, values in parse_qs(urlsplit(str(following)).query).items()}

    def _send(self, call: Call, what: str) -> Reply:
        try:
            reply = self._transport.send(call)
        except NoAnswerError as silence:
            raise BetterStackTransientError(f"{what}: {silence}. Check the network. {_STATUS_PAGE}") from silence
        if not reply.ok:
            raise _error(reply, what)
        return reply


def _path(monitor_id: str) -> str:
    return f"/api/v2/monitors/{quote(monitor_id, safe='')}"


def _monitor(reply: Reply) -> Monitor:
    body = reply.json()
    if not isinstance(body, dict) or not isinstance(body.get("data"), dict):
        raise BetterStackTransientError(
            f'could not read monitor "in a reply": it is no JSON:API object (HTTP {reply.status}). {_STATUS_PAGE}',
            status=reply.status,
        )
    return Monitor.of(body["data"])


_BY_STATUS: Mapping[int, tuple[type[BetterStackError], str]] = {
    401: (BetterStackUnauthorizedError, SCOPES_ADVICE),
    403: (BetterStackForbiddenError, SCOPES_ADVICE),
    404: (BetterStackNotFoundError, 'Run "pulumi up --refresh" to create it again.'),
    429: (BetterStackRateLimitedError, "Wait a minute, then run it again."),
}


def _error(reply: Reply, what: str) -> BetterStackError:
    refused = (BetterStackRefusedError, "Correct the uptime setting that it names, then run it again.")
    default = refused if reply.status < 500 else (BetterStackTransientError, _STATUS_PAGE)
    kind, advice = _BY_STATUS.get(reply.status, default)
    request_id = f", request id {reply.request_id}" if reply.request_id else ""
    return kind(f"{what}: {_said(reply)} (HTTP {reply.status}{request_id}). {advice}", status=reply.status)


def _said(reply: Reply) -> str:
    """Return the API's words: `errors` is a text, a list, or attribute → list of texts."""
    body = reply.json()
    errors = body.get("errors") or body.get("error") or body.get("message") if isinstance(body, dict) else None
    if isinstance(errors, dict):
        errors = [f"{key} {_said_of_one(text)}" for key, text in errors.items()]
    if isinstance(errors, list):
        errors = "; ".join(map(str, errors))
    return str(errors).strip().rstrip(".") if errors else "no reason given"


def _said_of_one(text: object) -> str:
    return ", ".join(map(str, text)) if isinstance(text, list) else str(text)
