"""The orchestrator's health endpoint: what it says about its Prefect."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import requests

from clients.endpoints import World, require_url
from clients.redaction import one_line
from clients.silence import NoAnswerError
from clients.transport import Api, Call, RetryPolicy, Transport, no_progress

HEALTHY = "healthy"
NOT_CONFIGURED = "not_configured"

_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One look at the health endpoint.

    Attributes:
        prefect: what `components.prefect` says, empty when nothing readable answered.
        said: what was seen, for the middle of a sentence.
        gone: nothing answers there at all: refused, not resolvable, or 404.
        foreign: something answered 200, but not with the JSON that was agreed on.
    """

    prefect: str = ""
    said: str
    gone: bool = False
    foreign: bool = False


class HealthEndpoint:
    """The endpoint at one URL.

    Args:
        url: the whole address.
        world: it must belong to this world.
        session: what requests are sent with.
    """

    def __init__(self, url: str, world: World, session: requests.Session | None = None) -> None:
        self.url = require_url(url, world, "the orchestrator's health URL")
        parts = urlsplit(self.url)
        self._path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
        api = Api(
            base_url=f"{parts.scheme}://{parts.netloc}", title="orchestrator", headers={"Accept": "application/json"}
        )
        self._transport = Transport(api, policy=RetryPolicy(attempts=1), progress=no_progress, session=session)

    def read(self) -> Reading:
        """Look once. Every outcome is a Reading; nothing is raised."""
        try:
            # An unhealthy service may answer 503 and still tell its components.
            reply = self._transport.send(Call(method="GET", path=self._path, read_timeout=20))
        except NoAnswerError as silence:
            return Reading(said=str(silence), gone=not silence.maybe_sent)
        status = component_status(reply.json())
        if status:
            return Reading(prefect=status, said=f'"{status}"')
        if reply.status == 404:
            return Reading(said="HTTP 404", gone=True)
        if reply.ok:
            return Reading(said=f"HTTP {reply.status} without components.prefect in a JSON object", foreign=True)
        return Reading(said=f"HTTP {reply.status}")


def component_status(body: object) -> str:
    """Return what `components.prefect` says: a string, or an object with `status`. Empty when it says neither."""
    components = body.get("components") if isinstance(body, dict) else None
    prefect = components.get("prefect") if isinstance(components, dict) else None
    if isinstance(prefect, dict):
        prefect = prefect.get("status")
    return one_line(prefect, _SHOWN) if isinstance(prefect, str) else ""
