"""Taking a machine away: drained, stopped, destroyed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from clients.fly.client import FlyClient
from clients.fly.errors import FlyNotFoundError
from clients.fly.model import Machine
from clients.fly.operations.waiting import Watch, keep_nothing

DRAIN = 2.0
"""Seconds between telling the edge to send nothing new and stopping the program."""

STOP_WITHIN = 310.0
"""Our servers have 300 s, which only very busy ones need; then Fly kills what runs."""

GONE_WITHIN = 30.0


def retire(
    client: FlyClient,
    app: str,
    machine: Machine,
    *,
    nonce: str = "",
    keep: Callable[[], None] = keep_nothing,
    drain: float = DRAIN,
) -> None:
    """Drain, stop and destroy the machine; done when it is gone.

    Args:
        client: Fly.
        app: its app.
        machine: as it was just read.
        nonce: of the lease that we hold on it.
        keep: called while it is waited for; refreshes a lease.
        drain: seconds that the edge gets to send requests elsewhere; 0 where there is no other machine.

    Raises:
        FlyNotFoundError: it is not there; whether that means gone, the caller has to prove.
    """
    # A host that does not answer can neither drain nor stop; destroying is all that may still work.
    if machine.state in {"started", "stopping"} and machine.host_status != "unreachable":
        client.progress(
            f'stopping machine "{machine.name}" of app "{app}", which may take {STOP_WITHIN:.0f} s if it has much to do'
        )
        # One that a killed run told to end is let end, too.
        if machine.state == "started":
            if machine.config.get("services"):
                client.machines.cordon(app, machine, nonce=nonce)
                client.timing.sleep(drain)
            client.machines.stop(app, machine, nonce=nonce)
        watch = Watch(client=client, app=app, within=STOP_WITHIN, keep=keep)
        watch.reached(machine, "stopped", version=machine.instance_id)
    destroy(client, app, machine, nonce=nonce)


def remove(client: FlyClient, app: str, machine: Machine, *, keep: Callable[[], None] = keep_nothing) -> None:
    """Take away what was made in vain: as `retire` does where it is healthy, so that it may serve; else at once.

    Raises:
        FlyError: it may still be there.
    """
    if machine.healthy:
        with suppress(FlyNotFoundError):
            retire(client, app, machine, keep=keep)
    else:
        destroy(client, app, machine)


def destroy(client: FlyClient, app: str, machine: Machine, *, nonce: str = "") -> None:
    """Destroy the machine at once and wait until it is gone; one that is gone already is fine.

    Raises:
        FlyConflictError: somebody holds its lease, or its host does not answer.
    """
    with suppress(FlyNotFoundError):
        client.machines.destroy(app, machine, nonce=nonce)
    Watch(client=client, app=app, within=GONE_WITHIN).reached(machine, "destroyed", version=machine.instance_id)
