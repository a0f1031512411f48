"""A stand-in for requests.Session that answers from a script, and a clock that only sleeping moves."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any

import requests
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import MaxRetryError, NameResolutionError, NewConnectionError

from clients.timing import Timing


def answer(status: int, body: object = None, headers: Mapping[str, str] | None = None) -> requests.Response:
    """Return a response with a JSON body, or one of exactly these bytes."""
    response = requests.Response()
    response.status_code = status
    response._content = b"" if body is None else body if isinstance(body, bytes) else dumps(body).encode()
    response._content_consumed = True  # type: ignore[attr-defined]
    response.headers = CaseInsensitiveDict(headers or {})
    return response


def refused() -> requests.ConnectionError:
    """Return what requests raises when nobody listens: urllib3's errors, wrapped twice."""
    connection = HTTPConnection("127.0.0.1", 1)
    cause = NewConnectionError(connection, "Failed to establish a new connection")
    return requests.ConnectionError(MaxRetryError(HTTPConnectionPool("127.0.0.1"), "/", cause))


def unresolved() -> requests.ConnectionError:
    """Return what requests raises for a name that nobody has."""
    connection = HTTPConnection("nowhere.invalid", 1)
    cause = NameResolutionError("nowhere.invalid", connection, socket.gaierror())
    return requests.ConnectionError(MaxRetryError(HTTPConnectionPool("nowhere.invalid"), "/", cause))


@dataclass
class Sent:
    """A request as it was sent."""

    method: str
    url: str
    json: Any
    headers: Mapping[str, str]
    params: Mapping[str, Any]
    timeout: tuple[float, float]


class ScriptedSession(requests.Session):
    """Answers requests one after the other; raises what is an exception.

    Args:
        script: the answers; a request more is an error, unless `forever` is what all later ones get.
    """

    def __init__(
        self, *script: requests.Response | Exception, forever: requests.Response | Exception | None = None
    ) -> None:
        super().__init__()
        self.script = list(script)
        self.forever = forever
        self.sent: list[Sent] = []

    def request(self, method: str, url: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """Record the request, its last headers included, and play the next answer."""
        prepared = requests.Request(method, url, headers=given.get("headers")).prepare()
        if given.get("auth"):
            prepared = given["auth"](prepared)
        self.sent.append(
            Sent(method, url, given.get("json"), prepared.headers, given.get("params") or {}, given["timeout"])
        )
        step = self.forever if self.forever is not None and not self.script else self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


@dataclass
class FakeClock:
    """Seconds that pass only by sleeping; `slept` lists the sleeps."""

    now: float = 1_700_000_000.0
    slept: list[float] = field(default_factory=list)

    def time(self) -> float:
        """Return the present."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds

    def timing(self, jitter: Callable[[], float] = lambda: 0.0) -> Timing:
        """Return this clock as a transport wants it; without jitter, so that waits are exact."""
        return Timing(clock=self.time, sleep=self.sleep, jitter=jitter)
