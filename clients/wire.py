"""One request function for every API: a call in, a reply out, typed errors up."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from clients.endpoints import Service, World, base_url
from clients.errors import ApiError, UnreachableError
from clients.silence import NoAnswerError
from clients.transport import Api, Call, Progress, Reply, Transport, print_progress


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

    def get(self, doing: str, route: str, *, pace: str | None = None) -> Any:
        """GET `route` and return the decoded body."""
        return self.send(doing, Call(method="GET", path=route, pace=pace)).json()


@dataclass(frozen=True)
class Access:
    """Where an API is, and the token for it."""

    address: str
    token: str


def access(service: Service, world: World, environ: Mapping[str, str], unauthorized: type[ApiError]) -> Access:
    """Return address and token of a service, from the environment.

    Raises:
        WrongWorldError: the address does not belong to `world`.
        ApiError: of the class `unauthorized`, when there is no token.
    """
    address = base_url(service, world, environ)
    token = environ.get(service.token, "").strip()
    if not token:
        raise unauthorized(f"use the {service.title}", f"{service.token} is not set")
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
