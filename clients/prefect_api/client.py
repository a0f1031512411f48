"""A client of one server, with one credential."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Self

from clients.endpoints import World, require_url
from clients.prefect import Credential
from clients.prefect_api.automations import Automations
from clients.prefect_api.blocks import Blocks
from clients.prefect_api.errors import DIALECT
from clients.prefect_api.events import Events
from clients.prefect_api.objects import Objects
from clients.transport import Api, RetryPolicy, Transport
from clients.wire import Wire

if TYPE_CHECKING:
    import requests

# Few and short: destroy asks for each object, and goes on without a server that does not answer.
_POLICY = RetryPolicy(attempts=3, base=0.5, cap=2.0, budget=10.0, connect_timeout=5.0, read_timeout=30.0)


class PrefectApi:
    """Everything of one server that a stack may keep there."""

    def __init__(self, transport: Transport) -> None:
        wire = Wire(transport, DIALECT)
        self.blocks, self.automations, self.events = Blocks(wire), Automations(wire), Events(wire)
        self.variables = Objects(wire, "variable", "/variables/", by_name="/variables/name/{}")
        self.work_pools = Objects(wire, "work pool", "/work_pools/", by_name="/work_pools/{}", name_is_id=True)
        limits = "/v2/concurrency_limits/"
        self.limits = Objects(wire, "concurrency limit", limits, by_name=f"{limits}{{}}")
        tags = "/concurrency_limits/"
        self.tag_limits = Objects(wire, "concurrency limit of tag", tags, by_name=f"{tags}tag/{{}}")

    @classmethod
    def at(cls, api_url: str, credential: str, world: World, session: requests.Session | None = None) -> Self:
        """Build a client.

        Args:
            api_url: what PREFECT_API_URL is set to.
            credential: `name:key` of our own server, or a key of Prefect Cloud.
            world: the world that the stack states.
            session: instead of one of its own.

        Raises:
            WrongWorldError: the address does not belong to `world`.
        """
        address = require_url(api_url, world, "the Prefect API's URL")
        headers = {"Authorization": authorization(credential), "User-Agent": "prefect-fly"}
        api = Api(base_url=address, title="Prefect API", headers=headers, speaks_json=True)
        return cls(Transport(api, policy=_POLICY, session=session))


def authorization(credential: str) -> str:
    """Return the header for `name:key` or for a bare key."""
    return Credential.parse(credential).basic() if ":" in credential else f"Bearer {credential}"


@functools.lru_cache(maxsize=4)
def shared(api_url: str, credential: str, world: World) -> PrefectApi:
    """Return the process's client for these.

    Raises:
        WrongWorldError: the address does not belong to `world`.
    """
    return PrefectApi.at(api_url, credential, world)
