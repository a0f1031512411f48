"""What the contract suite runs against: the sandbox, or any Fly Machines API that the environment names.

CONTRACT_FLY_MACHINES_URL  base address without /v1, for example of another emulator, or https://api.machines.dev
CONTRACT_FLY_API_URL       where the logs are; the same by default
CONTRACT_FLY_TOKEN         may create apps in CONTRACT_FLY_ORG
CONTRACT_FLY_ORG           organization slug
CONTRACT_FLY_IMAGE         an image with a shell that the API can pull; busybox by default
CONTRACT_FLY_REGION        ewr by default

Against the real API every test makes, and removes, a throw-away app; a run costs less than a cent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

import pytest

from clients.fly import FlyClient
from clients.fly.errors import FlyNotFoundError
from clients.fly.operations.retiring import destroy
from clients.timing import Timing
from sandbox.fly import FlyOptions
from sandbox.testing import running_sandbox
from tests.support.fly_world import ORG, FastClock, fast_timing

BUSYBOX = "registry-1.docker.io/library/busybox:1.37"


@dataclass(frozen=True)
class Target:
    """An API under contract."""

    connect: Callable[[str | None], FlyClient]
    org: str
    image: str
    region: str

    @property
    def client(self) -> FlyClient:
        """Return a client with the token that may do everything."""
        return self.connect(None)

    def config(self, *cmd: str) -> dict[str, Any]:
        """Return the smallest machine config that runs `cmd` in a shell's image."""
        return {
            "image": self.image,
            "init": {"cmd": list(cmd)},
            "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
            "restart": {"policy": "no"},
            "metadata": {"contract": "yes"},
        }


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    given = os.environ.get("CONTRACT_FLY_MACHINES_URL")
    image, region = os.environ.get("CONTRACT_FLY_IMAGE", BUSYBOX), os.environ.get("CONTRACT_FLY_REGION", "ewr")
    if given:
        url, token = given.rstrip("/"), os.environ["CONTRACT_FLY_TOKEN"]
        logs = os.environ.get("CONTRACT_FLY_API_URL", url)
        yield Target(_connector(url, logs, token, Timing()), os.environ["CONTRACT_FLY_ORG"], image, region)
        return
    options = FlyOptions(org=ORG, exact_rate_limits=True)
    home = tmp_path_factory.mktemp("sandbox")
    with running_sandbox(home, clock=FastClock(), fly=options, filled=False) as running:
        running.emulated.script(arguments=("sh", "-c", "echo hello; exit 3"), lines=("hello",), exit_code=3)
        environ = running.env()
        connect = _connector(
            environ["FLY_FLAPS_BASE_URL"], environ["FLY_API_BASE_URL"], environ["FLY_API_TOKEN"], fast_timing()
        )
        yield Target(connect, ORG, image, region)


@pytest.fixture
def app(target: Target) -> Iterator[str]:
    """Return the name of an app of our own, which is gone after the test."""
    name = f"contract-{token_hex(5)}"
    client = target.client
    try:
        client.apps.create(name, target.org)
        client.apps.wait_ready(name)
        yield name
    finally:
        _remove(client, name)


def _remove(client: FlyClient, name: str) -> None:
    """Delete the app and what runs in it, also when its making was cut short."""
    try:
        for machine in client.machines.list(name):
            destroy(client, name, machine)
        client.apps.delete(name)
    except FlyNotFoundError:
        return


def _connector(machines_url: str, api_url: str, token: str, timing: Timing) -> Callable[[str | None], FlyClient]:
    # One client for the whole suite: it is what keeps our calls under the API's rate limits.
    usual = FlyClient(machines_url, api_url, token, timing=timing)

    def connect(other: str | None) -> FlyClient:
        return FlyClient(machines_url, api_url, other, timing=timing) if other else usual

    return connect
