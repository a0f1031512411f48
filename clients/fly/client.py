"""The Fly client: one object whose attributes are the API's nouns."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from clients.endpoints import FLY_API, FLY_MACHINES, World, base_url
from clients.fly.addresses import Addresses
from clients.fly.apps import Apps
from clients.fly.certificates import Certificates
from clients.fly.errors import DIALECT, FlyUnauthorizedError
from clients.fly.logs import Logs
from clients.fly.machines import GET_BURST, GET_RATE, Machines
from clients.fly.secrets import Secrets
from clients.fly.tokens import Tokens, authorization, bare
from clients.timing import Pacer, Timing
from clients.transport import Api, Progress, RetryPolicy, Transport, print_progress
from clients.wire import Wire, access

if TYPE_CHECKING:
    import requests

RATE, BURST = 1.0, 2
"""Calls a second for each action and app or machine, and how many at once. Fly allows 1 and 3 as it counts arrivals:
one less keeps calls that arrive closer together than they were sent from exceeding that."""


class FlyClient:
    """Fly, by noun: `apps`, `addresses`, `certificates`, `secrets`, `machines`, `tokens` and `logs`.

    Args:
        machines_url: base address of the Machines API, without /v1.
        api_url: base address of the API that has the logs.
        token: in any of the forms people have it.
        progress: told of every wait.
        policy: retries.
        session: what requests are sent with.
        timing: clock, sleep and jitter.
    """

    def __init__(
        self,
        machines_url: str,
        api_url: str,
        token: str,
        *,
        progress: Progress = print_progress,
        policy: RetryPolicy | None = None,
        session: requests.Session | None = None,
        timing: Timing | None = None,
    ) -> None:
        timing = timing or Timing()
        self.timing, self.progress = timing, progress

        def wire(url: str, title: str, rate: float, burst: int) -> Wire:
            api = Api(
                base_url=url,
                title=title,
                headers={"Authorization": authorization(token), "User-Agent": "prefect-fly"},
                request_id_header="fly-request-id",
                speaks_json=True,
            )
            pacer = Pacer(rate, burst, clock=timing.clock, sleep=timing.sleep)
            transport = Transport(api, policy=policy, pacer=pacer, progress=progress, session=session, timing=timing)
            return Wire(transport, DIALECT)

        usual = wire(machines_url, FLY_MACHINES.title, RATE, BURST)
        self.apps = Apps(usual)
        self.addresses = Addresses(usual)
        self.certificates = Certificates(usual)
        self.secrets = Secrets(usual)
        self.machines = Machines(usual, wire(machines_url, FLY_MACHINES.title, GET_RATE, GET_BURST))
        self.tokens = Tokens(usual)
        self.logs = Logs(wire(api_url, FLY_API.title, RATE, BURST))

    @classmethod
    def from_environment(
        cls, world: World, environ: Mapping[str, str] = os.environ, *, progress: Progress = print_progress
    ) -> FlyClient:
        """Return a client for `world`, with the token in FLY_API_TOKEN.

        Raises:
            WrongWorldError: an address does not belong to `world`.
            FlyUnauthorizedError: there is no token.
        """
        machines = access(FLY_MACHINES, world, environ, FlyUnauthorizedError, bare)
        return cls(machines.address, base_url(FLY_API, world, environ), machines.token, progress=progress)
