"""A one-off machine of the server's app as a relay to the database, for whoever's network does not reach it.

The image's verb `relay` holds the connection, and each piece of it is brought there and back by a command in that
machine (`exec` of the Machines API). So nothing but FLY_API_TOKEN is needed: no WireGuard, no flyctl, no open port.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from clients.fly import FlyClient
from clients.fly.operations.one_off import OneOffRequest, result_of, running_one_off
from clients.fly.operations.retiring import STOP_WITHIN
from clients.loops import until
from ops.database_access import DatabaseAccess
from ops.errors import OpsError
from ops.machine_images import image_of
from ops.migrate import failure
from ops.reaching import MACHINE
from ops.relay import ExchangeLostError, Relay, RelayError
from ops.runtime import Runtime
from ops.server_machines import server_machines

IN_ITS_NETWORK = "reach the database from inside the server's network, through a machine that is made for this"
IDLE = 120.0
"""Seconds without a question after which the relay ends, so that what a killed backup leaves is gone soon; for each
machine of the server it waits longer, because nothing is asked while a restore stops them."""

_MEMORY_MB = 256
_READY_WITHIN = 180.0
_BAD_SETTINGS = 19


def reaching(reach: str, app: str, access: DatabaseAccess, rt: Runtime) -> AbstractContextManager[DatabaseAccess]:
    """Lend the way to the database that --reach states.

    Raises:
        OpsError: there is no server whose network it could be.
    """
    if reach != MACHINE:
        return nullcontext(access)
    if not app:
        raise OpsError("could not use --reach machine: with mode: cloud the stack has no server of its own.")
    return relayed(FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say), app, access)


@contextmanager
def relayed(fly: FlyClient, app: str, access: DatabaseAccess) -> Iterator[DatabaseAccess]:
    """Lend an access that leads through a machine of the server's app, which is gone after the block.

    Args:
        fly: makes the machine.
        app: of the server; the machine runs the image that its server has.
        access: the database as the machine reaches it; only host and port are told to the machine.

    Raises:
        OpsError: there is no image to run, or its relay did not start.
        FlyError: the machine could not be made.
    """
    machines = server_machines(fly, app)
    like = machines[-1]
    request = OneOffRequest(
        app=app,
        name="relay",
        image=image_of(like),
        region=like.region,
        cmd=["relay"],
        owner=like.owner,
        env={
            "PREFECT_FLY_RELAY_HOST": access.host,
            "PREFECT_FLY_RELAY_PORT": str(access.port),
            "PREFECT_FLY_RELAY_IDLE": f"{IDLE + len(machines) * STOP_WITHIN:.0f}",
        },
        memory_mb=_MEMORY_MB,
        needs_secrets=False,
    )
    if not request.image:
        raise RelayError(
            f'could not start a relay in app "{app}": Fly does not say which image machine "{like.name}" runs. Run '
            '"pulumi up", which deploys it by digest.'
        )
    with running_one_off(fly, request) as machine:
        relay = Relay(fly=fly, app=app, machine=machine)
        _wait_until_ready(relay, request)
        yield replace(access, relay=relay)


def _wait_until_ready(relay: Relay, request: OneOffRequest) -> None:
    fly, why = relay.fly, "it has not started"
    for _ in until(_READY_WITHIN, timing=fly.timing, every=0.5):
        seen = fly.machines.get(relay.app, relay.machine.id)
        if ended := seen.last_exit():
            if ended.exit_code == _BAD_SETTINGS:
                raise RelayError(
                    f"could not start a relay to the database: {request.image} is older than this program and has no "
                    f'relay. Run "pulumi up", which brings a newer one to app "{relay.app}", or run this without '
                    "--reach machine where the database can be reached. Nothing was changed."
                )
            raise RelayError(failure(relay.app, request.image, result_of(fly, request, seen, ended), "relay"))
        if seen.state != "started":
            why = f"it is {seen.state}"
            continue
        try:
            if relay.exchange({"connection": 0}).get("ready"):
                return
        except ExchangeLostError as lost:
            why = str(lost)
    raise RelayError(
        f"could not start a relay to the database: {relay.place} does not answer within {_READY_WITHIN:.0f} s: {why}. "
        "Run it again. Nothing was changed."
    )
