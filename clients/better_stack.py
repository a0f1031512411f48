"""What we ask of Better Stack Uptime: one monitor per URL.

    BetterStackError (an ApiError)
    ├── BetterStackUnauthorizedError   401, or no token at all
    ├── BetterStackForbiddenError      403
    ├── BetterStackNotFoundError       404
    ├── BetterStackRefusedError        other 4xx: the request itself is wrong
    ├── BetterStackRateLimitedError    429 after the retries
    ├── BetterStackTransientError      5xx
    │   └── BetterStackUnreachableError    no HTTP answer
    └── BetterStackUnclearError        a create may have happened: look for the URL before trying again

Source of the wire facts: the Terraform provider betterstackhq/better-uptime 0.21 and the public API documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, quote

from clients.endpoints import BETTER_STACK
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
from clients.shapes import ShapeError, listed, number, record, whole_object
from clients.transport import Api, Call, Reply
from clients.wire import Access, ApiClient, Dialect

_MOST_PAGES = 100
Params = Mapping[str, str | int]

_SCOPES = "Set BETTERSTACK_API_TOKEN to an Uptime API token of the team that owns the monitors."
_STATUS_PAGE = "See https://status.betterstack.com, then run it again."


class BetterStackError(ApiError):
    """The Better Stack API did not do what was asked."""


class BetterStackUnauthorizedError(BetterStackError, UnauthorizedError):
    """The token is missing, wrong or revoked."""

    advice = _SCOPES


class BetterStackForbiddenError(BetterStackError, ForbiddenError):
    """The token may not do this, or the plan does not include it."""

    advice = _SCOPES


class BetterStackNotFoundError(BetterStackError, NotFoundError):
    """The team of this token has no such monitor."""

    advice = 'Run "pulumi up --refresh" to create it again.'


class BetterStackRefusedError(BetterStackError, RefusedError):
    """The request was understood and refused; the text holds the reason."""

    advice = "Correct the uptime setting that it names, then run it again."


class BetterStackRateLimitedError(BetterStackError, RateLimitedError):
    """Too many requests, also after the retries."""


class BetterStackTransientError(BetterStackError, TransientError):
    """Better Stack is in trouble."""

    advice = _STATUS_PAGE


class BetterStackUnreachableError(BetterStackTransientError, UnreachableError):
    """No HTTP answer."""

    advice = f"Check the network. {_STATUS_PAGE}"


class BetterStackUnclearError(BetterStackError, UnclearError):
    """A create may have had its effect although no proper answer came."""

    advice = _STATUS_PAGE


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
        """Read one JSON:API object.

        Raises:
            ShapeError: it is no monitor.
        """
        return cls(id=str(number(entry)), attributes=whole_object(entry.get("attributes"), '"attributes"'))


_BY_STATUS: Mapping[int, type[BetterStackError]] = {
    401: BetterStackUnauthorizedError,
    403: BetterStackForbiddenError,
    404: BetterStackNotFoundError,
    408: BetterStackTransientError,
    429: BetterStackRateLimitedError,
}


def error_of(doing: str, reply: Reply) -> BetterStackError:
    """Return the typed error for a reply that is no success."""
    default: type[BetterStackError] = BetterStackRefusedError if reply.status < 500 else BetterStackTransientError
    kind = _BY_STATUS.get(reply.status, default)
    return kind(doing, _said(reply), status=reply.status, request_id=reply.request_id)


DIALECT = Dialect(error_of=error_of, unreachable=BetterStackUnreachableError)


def _said(reply: Reply) -> str:
    """Return the API's words: `errors` is a text, a list, or attribute → list of texts."""
    body = reply.json()
    errors = body.get("errors") or body.get("error") or body.get("message") if isinstance(body, dict) else None
    if isinstance(errors, dict):
        errors = [f"{key} {_said_of_one(text)}" for key, text in errors.items()]
    if isinstance(errors, list):
        errors = "; ".join(map(str, errors))
    return str(errors).strip().rstrip(".") if errors else "the API gave no reason"


def _said_of_one(text: object) -> str:
    return ", ".join(map(str, text)) if isinstance(text, list) else str(text)


class BetterStackClient(ApiClient):
    """Calls of one token."""

    service = BETTER_STACK
    dialect = DIALECT
    unauthorized = BetterStackUnauthorizedError

    @staticmethod
    def api(given: Access) -> Api:
        """Return what is particular to Better Stack."""
        headers = {"Authorization": f"Bearer {given.token}"}
        return Api(
            base_url=given.address,
            title=BETTER_STACK.title,
            headers=headers,
            request_id_header="X-Request-Id",
            speaks_json=True,
        )

    def check_token(self) -> None:
        """Prove that the token is accepted, with the cheapest call there is.

        Raises:
            BetterStackUnauthorizedError: it is not.
            BetterStackError: any other refusal.
        """
        self._wire.send('list monitor "any"', Call(method="GET", path="/api/v2/monitors", params={"per_page": 1}))

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
        return self._wire.read(f'read monitor "{monitor_id}"', call, _monitor)

    def create(self, attributes: Mapping[str, Any]) -> Monitor:
        """Create a monitor. Not idempotent: look with `find` first, and again after BetterStackUnclearError.

        Raises:
            BetterStackUnclearError: it may exist now.
            BetterStackError: any refusal.
        """
        what = f'create monitor "{attributes.get("url")}"'
        call = Call(method="POST", path="/api/v2/monitors", json=dict(attributes), reads=True)
        try:
            return self._wire.read(what, call, _monitor)
        except BetterStackTransientError as trouble:
            if isinstance(trouble, BetterStackUnreachableError) and not trouble.maybe_sent:
                raise
            raise BetterStackUnclearError(
                what, trouble.said, status=trouble.status, request_id=trouble.request_id
            ) from trouble

    def update(self, monitor_id: str, attributes: Mapping[str, Any]) -> Monitor:
        """Change the given attributes in place and return the monitor.

        Raises:
            BetterStackNotFoundError: it is gone.
            BetterStackError: any other refusal.
        """
        call = Call(method="PATCH", path=_path(monitor_id), json=dict(attributes), idempotent=True, reads=True)
        return self._wire.read(f'update monitor "{monitor_id}"', call, _monitor)

    def delete(self, monitor_id: str) -> None:
        """Delete a monitor.

        Raises:
            BetterStackNotFoundError: it is gone already.
            BetterStackError: any other refusal.
        """
        call = Call(method="DELETE", path=_path(monitor_id), idempotent=True)
        self._wire.send(f'delete monitor "{monitor_id}"', call)

    def _pages(self, url: str) -> Iterator[Monitor]:
        doing = f'list monitors of "{url}"'
        params: Params = {"url": url, "per_page": 250}
        asked: list[Params] = []
        while params:
            if params in asked or len(asked) == _MOST_PAGES:
                raise BetterStackUnreachableError(doing, "the answer is not the API's: its pages have no end")
            asked.append(params)
            call = Call(method="GET", path="/api/v2/monitors", params=params)
            found, params = self._wire.read(doing, call, _page)
            yield from found


def _path(monitor_id: str) -> str:
    return f"/api/v2/monitors/{quote(monitor_id, safe='')}"


def _monitor(body: object) -> Monitor:
    return Monitor.of(whole_object(whole_object(body).get("data"), '"data"'))


def _page(body: object) -> tuple[list[Monitor], Params]:
    """Read one page and the query of the next; an empty one after the last."""
    found = [Monitor.of(entry) for entry in listed(body, "data")]
    following = record(whole_object(body).get("pagination")).get("next")
    if not following:
        return found, {}
    # Only the query is taken over: the link's host is not ours to follow with a token.
    _, _, query = str(following).partition("?")
    values = parse_qs(query)
    if not values:
        raise ShapeError('"next" is no link to a page')
    return found, {key: given[-1] for key, given in values.items()}
