"""How a verb reaches the server: straight, or through one of its own machines where it is private."""

from __future__ import annotations

import argparse

from clients.fly import FlyClient
from clients.fly.operations.inside import InsideSession
from clients.prefect import PrefectClient
from ops.runtime import Runtime

DIRECT, MACHINE = "direct", "machine"


def add_reach(
    parser: argparse.ArgumentParser,
    means: str = "ask the server from inside its network, through one of its machines",
    *,
    of_stack: bool = False,
) -> None:
    """Add --reach; "machine" means `means`. With `of_stack` it is None where a stack that is named may state it."""
    parser.add_argument(
        "--reach",
        choices=(DIRECT, MACHINE),
        default=None if of_stack else DIRECT,
        help=f"machine: {means}",
    )


def prefect_client(url: str, reach: str, app: str, rt: Runtime) -> PrefectClient:
    """Return a client of the server at `url`, whose machines are in `app`.

    Raises:
        WrongWorldError: the address does not belong to the world.
    """
    if reach != MACHINE:
        return PrefectClient.at(url, rt.world)
    fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
    return PrefectClient.at(url, rt.world, InsideSession(fly, app))
