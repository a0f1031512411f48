"""Which machine a resource stands for, when an update may have put another one in its place."""

from __future__ import annotations

from contextlib import suppress

from clients.fly.client import FlyClient
from clients.fly.errors import FlyLeaseHeldError, FlyNotFoundError
from clients.fly.model import Machine
from clients.fly.operations.leases import Lease
from clients.fly.operations.pairs import named, successor_of
from clients.fly.operations.retiring import DRAIN, retire
from clients.fly.operations.unknown_machines import serves


def current(client: FlyClient, app: str, machine_id: str, *, owner: str, label: str) -> Machine:
    """Return the machine of this id; when it is gone, the one that has its label and one of its names.

    Raises:
        FlyNotFoundError: there is neither; whether that means gone, the caller has to prove.
    """
    missing = FlyNotFoundError(f'read machine "{label}" of app "{app}"', "it was destroyed")
    try:
        machine = client.machines.get(app, machine_id)
        if not machine.destroyed:
            return machine
    except FlyNotFoundError as error:
        missing = error
    heirs = named(client.machines.list(app), owner, label)
    if not heirs:
        raise missing
    return heirs[0]


def retire_all(client: FlyClient, app: str, machine: Machine) -> None:
    """Drain and destroy the machine, and before it a successor that an interrupted update left.

    The last one that serves is not waited for: there is none that the edge could send the next request to.

    Raises:
        FlyNotFoundError: it is not there; whether that means gone, the caller has to prove.
        FlyLeaseHeldError: somebody changes it all the time.
    """
    others = {other.id: other for other in client.machines.list(app) if other.id != machine.id}
    if successor_of(machine):
        for heir in named(others.values(), machine.owner, machine.label):
            # What the interrupted update still does may be to remove it.
            with suppress(FlyNotFoundError):
                retire(client, app, others.pop(heir.id))
    drain = DRAIN if any(map(serves, others.values())) else 0.0
    try:
        retire(client, app, machine, drain=drain)
    except FlyLeaseHeldError:
        # An update that was killed has left its lease, which runs out.
        with Lease(client, app, machine) as lease:
            machine = client.machines.get(app, machine.id)
            retire(client, app, machine, nonce=lease.nonce, keep=lease.keep, drain=drain)
            lease.machine_gone = True
