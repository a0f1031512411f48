"""What we ask of our own Prefect server and its gate: is it ready, is it closed, who used which key.

    PrefectError (an ApiError)
    ├── PrefectUnreachableError   no answer at all
    ├── PrefectUnauthorizedError  401: the credential is not accepted
    └── PrefectAnswerError        any other answer than the one expected

Nothing is retried here: the verbs of `ops` poll against a deadline of their own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

from clients.endpoints import World, require_url
from clients.errors import ApiError, UnauthorizedError, UnreachableError
from clients.prefect_answers import AuditPage, KeyUse, ServerKeys, ServerStatus
from clients.shapes import record, whole
from clients.silence import NoAnswerError
from clients.transport import Api, Call, Reply, RetryPolicy, Transport, no_progress

if TYPE_CHECKING:
    import requests

# Fly's proxy sends a request with this header to that machine and no other.
FORCE_INSTANCE_HEADER = "fly-force-instance-id"
_AUDITED = {"at", "login", "method", "route", "object", "status", "client"}
_ASKING = "ask the Prefect server"


class PrefectError(ApiError):
    """The server did not answer as expected; `said` is for the middle of a sentence."""

    advice = "Read the server's log, then run it again."


class PrefectUnreachableError(PrefectError, UnreachableError):
    """No answer: refused, not resolvable (a new name takes a while), reset or timed out."""


class PrefectUnauthorizedError(PrefectError, UnauthorizedError):
    """The credential is not accepted."""


class PrefectAnswerError(PrefectError):
    """It answered, but not what a healthy server of ours answers."""


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A named key. `Credential.parse` reads the form name:key."""

    name: str
    key: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "name:key".

        Raises:
            ValueError: it has another form; the text is not repeated.
        """
        name, colon, key = text.strip().partition(":")
        if not colon or not name or not key:
            raise ValueError("it is not of the form name:key")
        return cls(name=name, key=key)

    def basic(self) -> str:
        """Return the Authorization header that PREFECT_API_AUTH_STRING makes a client send."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.key}".encode()).decode()

    def bearer(self) -> str:
        """Return the Authorization header that PREFECT_API_KEY makes a client send."""
        return f"Bearer {self.key}"


class PrefectClient:
    """Calls to one server, at its public address without /api."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @classmethod
    def at(cls, url: str, world: World, session: requests.Session | None = None) -> Self:
        """Build a client for the server at `url`.

        Raises:
            WrongWorldError: the address does not belong to `world`.
        """
        address = require_url(url, world, "the server's URL")
        api = Api(base_url=address, title="Prefect server", headers={"User-Agent": "prefect-fly-ops"})
        return cls(Transport(api, policy=RetryPolicy(attempts=1), progress=no_progress, session=session))

    def ready(self, instance_id: str = "") -> None:
        """Return when /api/ready answers 200: the server, or this machine of it, is up and sees its database.

        Raises:
            PrefectUnreachableError: no answer.
            PrefectAnswerError: any other answer.
        """
        reply = self._get("/api/ready", _headers("", instance_id))
        if reply.status != 200:
            raise PrefectAnswerError(_ASKING, f"/api/ready answered HTTP {reply.status}", status=reply.status)

    def api_status(self, authorization: str = "", instance_id: str = "") -> int:
        """Return the HTTP status of a harmless API query (flows, at most one), sent with `authorization` or without.

        Raises:
            PrefectUnreachableError: no answer.
        """
        headers = _headers(authorization, instance_id)
        call = Call(method="POST", path="/api/flows/filter", json={"limit": 1}, headers=headers, read_timeout=20)
        return self._send(call).status

    def ui_status(self) -> tuple[int, str]:
        """Return status and content type of the page that a person opens; one redirect within the server is followed.

        Raises:
            PrefectUnreachableError: no answer.
        """
        reply = self._get("/")
        location = reply.headers.get("Location", "")
        if reply.status in {301, 302, 303, 307, 308} and location.startswith("/") and not location.startswith("//"):
            reply = self._get(location)
        return reply.status, reply.headers.get("Content-Type", "")

    def keys(self, credential: Credential, instance_id: str = "") -> ServerKeys:
        """Return the keys that the answering process accepts.

        Args:
            credential: any key that the server accepts.
            instance_id: ask this machine; each counts for itself.

        Raises:
            PrefectUnreachableError: no answer.
            PrefectUnauthorizedError: the credential is not accepted.
            PrefectAnswerError: no gate of ours answers there.
        """
        return ServerKeys.of(self._gate_page("/gate/keys", "keys", credential, instance_id))

    def key_use(self, credential: Credential, instance_id: str = "") -> Mapping[str, KeyUse]:
        """Return the use of every key, by name, since the answering process started.

        Raises:
            PrefectError: as `keys`.
        """
        return self.keys(credential, instance_id).use

    def published_generation(self, publisher: str) -> int:
        """Return the same for whoever may publish keys, whichever keys the machine accepts.

        Raises:
            PrefectUnreachableError: no answer.
            PrefectUnauthorizedError: its signing secret is another one, or its image is older than this question.
            PrefectAnswerError: no gate of ours answers there.
        """
        return self._published(self._get("/gate/keys", {"Authorization": f"Bearer {publisher}"}))

    def publish_keys(self, publisher: str, ring: Mapping[str, object]) -> int:
        """Give the server a newer key ring, which all its machines then use; return the generation that it has now.

        Args:
            publisher: see clients/signing.py.
            ring: generation, ring and mac.

        Raises:
            PrefectUnreachableError: no answer.
            PrefectUnauthorizedError: as `published_generation`.
            PrefectAnswerError: it does not take this ring; `status` is 409 when it has a newer one, 503 when it cannot
                keep any just now.
        """
        headers = {"Authorization": f"Bearer {publisher}"}
        return self._published(self._send(Call(method="PUT", path="/gate/keys", json=ring, headers=headers)))

    def _published(self, reply: Reply) -> int:
        body = reply.json()
        if reply.status == 401:
            raise PrefectUnauthorizedError(_ASKING, "/gate/keys refused our signature (HTTP 401)", status=401)
        if not reply.ok or not isinstance(body, dict) or "generation" not in body:
            said = body.get("exception_message", "") if isinstance(body, dict) else ""
            what = f"/gate/keys answered HTTP {reply.status}{': ' if said else ''}{said}".rstrip(".")
            raise PrefectAnswerError(_ASKING, what, status=reply.status)
        return whole(body["generation"])

    def status(self, credential: Credential, instance_id: str = "") -> ServerStatus:
        """Return what one of the server's machines sees of itself and of the database.

        Raises:
            PrefectUnreachableError: no answer.
            PrefectUnauthorizedError: the credential is not accepted.
            PrefectAnswerError: its image is older than this question.
        """
        return ServerStatus.of(self._gate_page("/gate/status", "prefect", credential, instance_id))

    def audit(self, credential: Credential, query: Mapping[str, list[str]]) -> AuditPage:
        """Return a page of audit lines.

        Raises:
            PrefectUnreachableError: no answer.
            PrefectUnauthorizedError: the credential is not accepted.
            PrefectAnswerError: an older image, no admin's key, or no audit is kept; what the server said.
        """
        reply = self._get(f"/gate/audit?{urlencode(query, doseq=True)}", _headers(credential.basic(), ""))
        if reply.status == 401:
            raise PrefectUnauthorizedError(_ASKING, f'it refused key "{credential.name}"', status=401)
        body = record(reply.json())
        if not reply.ok or not isinstance(body.get("lines"), list):
            said = str(body.get("detail") or f"/gate/audit answered HTTP {reply.status}; its image may be older.")
            raise PrefectAnswerError(_ASKING, said, status=reply.status)
        lines = tuple(line for line in body["lines"] if isinstance(line, dict) and line.keys() >= _AUDITED)
        return AuditPage(lines=lines, next=whole(body.get("next")) or None)

    def whoami(self, credential: Credential) -> dict[str, Any]:
        """Return name, rights and expiry of a key.

        Raises:
            PrefectError: as for `key_use`.
        """
        return self._gate_page("/gate/whoami", "rights", credential, "")

    def _gate_page(self, path: str, expected: str, credential: Credential, instance_id: str) -> dict[str, Any]:
        reply = self._get(path, _headers(credential.basic(), instance_id))
        if reply.status == 401:
            raise PrefectUnauthorizedError(_ASKING, f'{path} refused key "{credential.name}" (HTTP 401)', status=401)
        body = reply.json()
        if not reply.ok or not isinstance(body, dict) or expected not in body:
            without = f' without "{expected}"' if reply.ok else ""
            raise PrefectAnswerError(_ASKING, f"{path} answered HTTP {reply.status}{without}", status=reply.status)
        return body

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return self._send(Call(method="GET", path=path, headers=headers or {}, read_timeout=20))

    def _send(self, call: Call) -> Reply:
        try:
            return self._transport.send(call)
        except NoAnswerError as silence:
            raise PrefectUnreachableError(_ASKING, str(silence)) from silence


def _headers(authorization: str, instance_id: str) -> dict[str, str]:
    headers = {"Authorization": authorization, FORCE_INSTANCE_HEADER: instance_id}
    return {name: value for name, value in headers.items() if value}
