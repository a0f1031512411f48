"""The one way our API clients speak HTTP: with rate limits, time-outs and bounded retries, and no secret shown.

    Transport.send(Call) -> Reply          any status, after the retries that are safe
                         -> NoAnswerError  no answer at all; `maybe_sent` tells whether the call may have had its effect

What a status means is each API's dialect (clients.wire), which maps a `Reply` and a `NoAnswerError` to its errors.
The session, the clock, the sleep and the jitter are injected, which is also how tests stand in for a network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from clients.shapes import NO_JSON, decoded
from clients.silence import NoAnswerError
from clients.timing import Pacer, Timing, retry_after

if TYPE_CHECKING:
    import requests

Progress = Callable[[str], None]

# The longest of an API of ours are lists of machines, a few hundred KB.
_MOST_BYTES = 32 * 2**20
# 500 is left to GET and idempotent calls as well: both Fly and GitHub answer it for passing trouble.
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


def print_progress(message: str) -> None:
    """Write one line to standard error, where the engine and CI logs show it while a call is waiting."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def no_progress(_message: str) -> None:
    """Drop the line."""


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long to wait for an answer, and how often and how long to retry a failure that may pass.

    Pauses grow `base * 2**n` up to `cap` seconds, each cut by up to half at random; `budget` bounds the seconds of
    pauses in one call, also when the API's Retry-After asks for more. `connect_timeout` and `read_timeout` are seconds.
    """

    attempts: int = 6
    base: float = 1.0
    cap: float = 16.0
    budget: float = 90.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An HTTP answer. `request_id` is the API's own id of the request, empty when it sent none."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    request_id: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def is_json(self) -> bool:
        """Tell whether the body can be decoded."""
        return self._decoded is not NO_JSON

    def json(self) -> Any:
        """Return the decoded body, or None when it is empty or no JSON: error bodies are often neither."""
        return self._decoded if self.is_json else None

    @cached_property
    def _decoded(self) -> Any:
        return decoded(self.body)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request.

    Attributes:
        path: absolute path below the base address, already quoted.
        idempotent: doing it twice has the effect of doing it once. GET always is; a POST only where the API's
            documentation says so.
        pace: name of the rate-limit bucket that the call draws from; None is not paced.
        read_timeout: seconds, instead of the transport's own.
        answers: transient statuses that are ordinary answers of this very call (a long poll's 408).
        reads: what comes back is read, as with every GET: a success without JSON in it is no answer then.
        retry_on: says that a reply of this very call is transient although its status does not (for example a 400
            about a registry that lags behind); such an answer must be one that had no effect.
    """

    method: str
    path: str
    params: Mapping[str, str | int] = field(default_factory=dict)
    json: object | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = False
    pace: str | None = None
    read_timeout: float | None = None
    answers: frozenset[int] = frozenset()
    reads: bool = False
    retry_on: Callable[[Reply], bool] | None = None

    @property
    def repeatable(self) -> bool:
        """Tell whether the call may be sent again when it is unclear whether it had its effect."""
        return self.idempotent or self.method in {"GET", "HEAD"}


class _Headers:
    """Sets our headers last, so that a ~/.netrc entry for the host can never replace the Authorization."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


@dataclass(frozen=True, kw_only=True)
class Api:
    """What is particular to one API.

    Attributes:
        base_url: may hold a path prefix.
        title: the API's name in progress lines, for example "Fly Machines API".
        headers: sent with every call, the Authorization among them; never shown.
        request_id_header: reply header that identifies a request at the API.
        is_transient: more replies to retry, for an API that hides a rate limit behind another status (GitHub's 403).
            Such a reply must mean that the call was refused, since it is retried whatever the method.
        speaks_json: its successes are JSON, so that a page from a proxy or half a reply is not taken for one. Without
            this, a list that never came would read as an empty one, and what is in it as gone.
    """

    base_url: str
    title: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    request_id_header: str = ""
    is_transient: Callable[[Reply], bool] | None = None
    speaks_json: bool = False


class Transport:
    """Sends calls to one API, over one session.

    Args:
        api: where to and how.
        pacer: rate limits; None paces nothing.
        progress: told of every wait.
        session: anything with requests' `request` method.
    """

    def __init__(
        self,
        api: Api,
        *,
        policy: RetryPolicy | None = None,
        pacer: Pacer | None = None,
        progress: Progress = print_progress,
        session: requests.Session | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.api = api
        self.progress = progress
        self.timing = timing or Timing()
        self._policy = policy or RetryPolicy()
        self._pacer = pacer
        self._base_url = api.base_url.rstrip("/")
        self._auth = _Headers(api.headers)
        if session is None:
            from clients import sessions  # noqa: PLC0415  # loads requests, see there

            session = sessions.new_session(api.base_url)
        self._session = session

    def send(self, call: Call) -> Reply:
        """Send `call`, retrying what is safe to retry, and return the last answer whatever its status.

        A 429 and a refused connection had no effect, so they are retried for every method; everything else that is
        transient only for GET and for calls marked idempotent.

        Raises:
            NoAnswerError: no answer came in the attempts allowed.
        """
        waited = 0.0
        for attempt in range(1, self._policy.attempts + 1):
            outcome = self._once(call)
            pause = self._pause(outcome, attempt)
            last = attempt == self._policy.attempts or waited + pause > self._policy.budget
            if last or not self._worth_retrying(call, outcome):
                break
            self.progress(
                f"{self.api.title}: {call.method} {call.path}: {_describe(outcome)}; trying again in {pause:.0f} s "
                f"(attempt {attempt + 1} of {self._policy.attempts})"
            )
            self.timing.sleep(pause)
            waited += pause
        if isinstance(outcome, NoAnswerError):
            raise outcome
        return outcome

    def _once(self, call: Call) -> Reply | NoAnswerError:
        from clients import sessions  # noqa: PLC0415  # loads requests, see there

        if self._pacer and call.pace:
            self._pacer.wait(call.pace)
        read = self._policy.read_timeout if call.read_timeout is None else call.read_timeout
        try:
            response = self._session.request(
                call.method,
                self._base_url + call.path,
                params=dict(call.params) or None,
                json=call.json,
                headers=dict(call.headers),
                auth=self._auth,
                timeout=(self._policy.connect_timeout, read),
                # A redirected POST becomes a GET, and a redirect could carry the token elsewhere.
                allow_redirects=False,
                stream=True,
            )
            body = _body(response)
        except sessions.RequestException as error:
            # `from None`: the text of requests' errors holds the URL and, with a proxy, its credentials.
            return sessions.no_answer(error, read)
        if body is None:
            return NoAnswerError(f"the answer is longer than {_MOST_BYTES // 2**20} MB", maybe_sent=True)
        reply = Reply(
            status=response.status_code,
            headers=response.headers,
            body=body,
            request_id=response.headers.get(self.api.request_id_header, "") if self.api.request_id_header else "",
        )
        return _garbled(reply) if self.api.speaks_json and not _is_the_apis(call, reply) else reply

    def _worth_retrying(self, call: Call, outcome: Reply | NoAnswerError) -> bool:
        if isinstance(outcome, NoAnswerError):
            return call.repeatable or not outcome.maybe_sent
        if outcome.status in call.answers:
            return False
        if outcome.status == 429 or (self.api.is_transient and self.api.is_transient(outcome)):
            return True
        if call.retry_on and call.retry_on(outcome):
            return True
        return call.repeatable and outcome.status in TRANSIENT_STATUSES

    def _pause(self, outcome: Reply | NoAnswerError, attempt: int) -> float:
        if isinstance(outcome, Reply):
            asked = retry_after(outcome.headers, self.timing.clock())
            if asked is not None:
                return asked
        full = min(self._policy.cap, self._policy.base * 2.0 ** (attempt - 1))
        return full * (1 - self.timing.jitter() / 2)


def _body(response: requests.Response) -> bytes | None:
    """Return the whole body, None when it is longer than anything that an API of ours sends."""
    body = bytearray()
    with response:
        for part in response.iter_content(2**16):
            body += part
            if len(body) > _MOST_BYTES:
                return None
    return bytes(body)


def _is_the_apis(call: Call, reply: Reply) -> bool:
    """Tell whether a success can be what the API answered. Errors are judged by their status alone."""
    if not reply.ok or reply.status == HTTPStatus.NO_CONTENT:
        return True
    if _media_type(reply) == "text/html":
        return False
    # What nobody reads may be nothing or words, but no page without its type, and no half of a reply.
    broken = reply.body.lstrip()[:1] in {b"<", b"{", b"["}
    return reply.is_json or not (call.reads or call.method == "GET" or broken)


def _garbled(reply: Reply) -> NoAnswerError:
    what = f"{len(reply.body)} bytes of {_media_type(reply) or 'no known type'}"
    return NoAnswerError(f"the answer is not the API's: HTTP {reply.status} with {what}, not JSON", maybe_sent=True)


def _media_type(reply: Reply) -> str:
    return reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _describe(outcome: Reply | NoAnswerError) -> str:
    return str(outcome) if isinstance(outcome, NoAnswerError) else f"HTTP {outcome.status}"
