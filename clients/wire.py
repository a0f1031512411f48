"""One request function for every API: a call in, a reply out, typed errors up."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, TypeVar

from clients.endpoints import Service, World, base_url
from clients.errors import ApiError, UnreachableError
from clients.shapes import ShapeError
from clients.silence import NoAnswerError
from clients.transport import Api, Call, Progress, Reply, Transport, print_progress

T = TypeVar("T")

_SENDABLE = re.compile(r"[!-~]+")

_WHO_ANSWERS = (
    "See whether a proxy answers instead of the {title}, then run the command again: what was done already is found."
)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How an API says that something went wrong.

    Attributes:
        error_of: makes the typed error for a reply that is no success; its first argument completes "could not …".
        unreachable: the error for no answer.
    """

    error_of: Callable[[str, Reply], ApiError]
    unreachable: type[UnreachableError]


@dataclass(frozen=True)
class Wire:
    """A transport whose failures are ApiErrors."""

    transport: Transport
    dialect: Dialect

    def send(self, doing: str, call: Call, *, tolerate: Collection[int] = ()) -> Reply:
        """Send `call` and return its 2xx reply, or one whose status is tolerated.

        Raises:
            ApiError: the class says which kind of failure; `doing` completes "could not …" in its text.
        """
        try:
            reply = self.transport.send(call)
        except NoAnswerError as silence:
            error = self.dialect.unreachable(doing, str(silence))
            error.maybe_sent = silence.maybe_sent
            raise error from None
        if not reply.ok and reply.status not in tolerate:
            raise self.dialect.error_of(doing, reply)
        return reply

    def read(self, doing: str, call: Call, reader: Callable[[object], T]) -> T:
        """Send `call` and return what `reader` makes of the decoded body.

        Raises:
            ApiError: as with `send`; a success that `reader` takes for none of the API's counts as no answer.
        """
        reply = self.send(doing, call)
        try:
            return reader(reply.json())
        except ShapeError as wrong:
            raise self.dialect.unreachable(
                doing,
                f"the answer is not the API's: {wrong}",
                status=reply.status,
                request_id=reply.request_id,
                advice=_WHO_ANSWERS.format(title=self.transport.api.title),
            ) from None

    def get(self, doing: str, route: str, reader: Callable[[object], T], *, pace: str | None = None) -> T:
        """GET `route` and return what `reader` makes of the decoded body."""
        return self.read(doing, Call(method="GET", path=route, pace=pace), reader)


@dataclass(frozen=True)
class Access:
    """Where an API is, and the token for it."""

    address: str
    token: str


def access(
    service: Service,
    world: World,
    environ: Mapping[str, str],
    unauthorized: type[ApiError],
    spelled: Callable[[str], str] = str,
) -> Access:
    """Return address and token of a service, from the environment.

    Args:
        service: the API.
        world: that the stack states.
        environ: holds the address and the token.
        unauthorized: the API's error for a token that cannot be used.
        spelled: makes the token's own spelling of the one that people have.

    Raises:
        WrongWorldError: the address does not belong to `world`.
        ApiError: of the class `unauthorized`, when there is no token that could be sent.
    """
    address = base_url(service, world, environ)
    given = environ.get(service.token, "").strip()
    if not given:
        raise unauthorized(f"use the {service.title}", f"{service.token} is not set")
    token = spelled(given)
    if not token:
        raise unauthorized(f"use the {service.title}", f"{service.token} holds no token")
    if not _SENDABLE.fullmatch(token):
        # Unchecked, the HTTP library would refuse it in a text that holds it.
        raise unauthorized(
            f"use the {service.title}", f"{service.token} holds a blank, a line break or a letter that no token has"
        )
    return Access(address, token)


class ApiClient:
    """A client of one API at one address, with one token.

    Subclasses name the service and its dialect, and say how the API is spoken to.
    """

    service: ClassVar[Service]
    dialect: ClassVar[Dialect]
    unauthorized: ClassVar[type[ApiError]]

    def __init__(self, transport: Transport) -> None:
        self._wire = Wire(transport, self.dialect)

    @staticmethod
    def api(given: Access) -> Api:
        """Return what is particular to the API."""
        raise NotImplementedError

    @classmethod
    def from_environment(
        cls, world: World, environ: Mapping[str, str] = os.environ, *, progress: Progress = print_progress
    ) -> Self:
        """Return a client for `world`, with the service's token from the environment.

        Raises:
            UnauthorizedError: there is no token.
            WrongWorldError: the address does not belong to `world`.
        """
        given = access(cls.service, world, environ, cls.unauthorized)
        return cls(Transport(cls.api(given), progress=progress))
