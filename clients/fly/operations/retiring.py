"""Taking a machine away: drained, stopped, destroyed."""

from __future__ import annotations

from contextlib import suppress

from clients.fly.client import FlyClient
from clients.fly.errors import FlyNotFoundError
from clients.fly.model import Machine
from clients.fly.operations.waiting import Watch

DRAIN = 2.0
"""Seconds between telling the edge to send nothing new and stopping the program."""

STOP_WITHIN = 45.0
GONE_WITHIN = 30.0


def retire(client: FlyClient, app: str, machine: Machine, *, nonce: str = "", drain: float = DRAIN) -> None:
    """Drain, stop and destroy the machine; done when it is gone.

    Args:
        client: Fly.
        app: its app.
        machine: as it was just read.
        nonce: of the lease that we hold on it.
        drain: seconds that the edge gets to send requests elsewhere; 0 where there is no other machine.

    Raises:
        FlyNotFoundError: it is not there; whether that means gone, the caller has to prove.
    """
    # A host that does not answer can neither drain nor stop; destroying is all that may still work.
    if machine.state == "started" and machine.host_status != "unreachable":
        client.progress(f'stopping machine "{machine.name}" of app "{app}", which may take {STOP_WITHIN:.0f} s')
        if machine.config.get("services"):
            client.machines.cordon(app, machine, nonce=nonce)
            client.timing.sleep(drain)
        client.machines.stop(app, machine, nonce=nonce)
        Watch(client=client, app=app, within=STOP_WITHIN).reached(machine, "stopped", version=machine.instance_id)
    destroy(client, app, machine, nonce=nonce)


def destroy(client: FlyClient, app: str, machine: Machine, *, nonce: str = "") -> None:
    """Destroy the machine at once and wait until it is gone; one that is gone already is fine.

    Raises:
        FlyConflictError: somebody holds its lease, or its host does not answer.
    """
    with suppress(FlyNotFoundError):
        client.machines.destroy(app, machine, nonce=nonce)
    Watch(client=client, app=app, within=GONE_WITHIN).reached(machine, "destroyed", version=machine.instance_id)
