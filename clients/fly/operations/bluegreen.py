"""Updating a machine by making the new one beside it: whoever uses the server notices nothing.

    mark      the old one, with the name of its successor
    create    the successor, with the new config; wait until it is healthy and the edge reaches it
    retire    the old one: cordon, drain, stop, destroy

Up to the last step the old one serves as if nothing happened, and a failure removes the successor. A run that is killed
leaves the mark, so that the next one knows what it finds (`settle`).
"""

from __future__ import annotations

from contextlib import suppress

from clients.fly.client import FlyClient
from clients.fly.errors import (
    FlyCapacityError,
    FlyError,
    FlyForeignError,
    FlyMachineLimitError,
    FlyNotFoundError,
    FlyUnhealthyError,
)
from clients.fly.model import NAME_KEY, OWNER_KEY, SUCCESSOR_KEY, Machine
from clients.fly.operations.in_place import secrets_changed_since
from clients.fly.operations.leases import Lease
from clients.fly.operations.pairs import named, next_name, successor_mark
from clients.fly.operations.reaching import reached
from clients.fly.operations.retiring import remove, retire
from clients.fly.operations.waiting import Watch
from clients.fly.operations.wanted import WantedMachine, create


def replace_machine(client: FlyClient, wanted: WantedMachine, previous: Machine, *, restart: bool) -> Machine:
    """Put a new machine in the place of `previous` and return it, healthy.

    Args:
        client: Fly.
        wanted: the new state.
        previous: the machine as it was just read; `settle` has seen that nothing is left of an earlier attempt.
        restart: its secrets changed, which a failure has to name.

    Raises:
        FlyUnhealthyError: the new one did not get healthy; it is gone, and `previous` serves as before.
        FlyForeignError: somebody else's machine has the name that the new one needs.
    """
    name = next_name(previous, wanted.name)
    with Lease(client, wanted.app, previous) as lease:
        marks = {OWNER_KEY: wanted.owner, NAME_KEY: wanted.name, **successor_mark(previous, name)}
        client.machines.set_metadata(wanted.app, previous, marks, nonce=lease.nonce)
        try:
            successor = _bring_up(client, wanted, name, lease)
        except FlyError as failure:
            # Why it did not come up matters more than what could not be tidied: the mark makes the next run do it.
            with suppress(FlyError):
                _undo(client, wanted, previous, lease)
            raise _told(client, wanted, previous, failure, restart=restart) from None
        client.progress(f'machine "{successor.name}" is healthy; draining and removing "{previous.name}"')
        _retire(client, wanted.app, previous, lease)
    return successor


def settle(client: FlyClient, wanted: WantedMachine, machine: Machine) -> Machine:
    """Finish or undo what an interrupted update left, and return the machine that is there then.

    A successor that is healthy while the old one gets no requests any more has taken over: the old one goes. Any other
    one goes itself, and the old one gets requests again.
    """
    others = [m for m in named(client.machines.list(wanted.app), wanted.owner, wanted.name) if m.id != machine.id]
    if not others and not machine.metadata.get(SUCCESSOR_KEY):
        return machine
    client.progress(f'machine "{wanted.name}" was being updated when that was interrupted; tidying up')
    with Lease(client, wanted.app, machine) as lease:
        for other in others:
            if (machine.cordoned or machine.state != "started") and _serves(client, wanted, other, lease):
                _retire(client, wanted.app, machine, lease)
                return client.machines.get(wanted.app, other.id)
            remove(client, wanted.app, other, keep=lease.keep)
        if machine.cordoned:
            client.machines.uncordon(wanted.app, machine, nonce=lease.nonce)
        client.machines.set_metadata(wanted.app, machine, successor_mark(machine, ""), nonce=lease.nonce)
    return client.machines.get(wanted.app, machine.id)


def _serves(client: FlyClient, wanted: WantedMachine, other: Machine, lease: Lease) -> bool:
    """Tell whether the successor is healthy, or gets so in time: nothing else serves any more."""
    try:
        Watch(client=client, app=wanted.app, within=wanted.healthy_within, keep=lease.keep).healthy(other)
    except FlyError:
        return False
    return not other.cordoned


def _retire(client: FlyClient, app: str, previous: Machine, lease: Lease) -> None:
    lease.keep()
    # Gone is as good: its successor serves.
    with suppress(FlyNotFoundError):
        retire(client, app, previous, nonce=lease.nonce, keep=lease.keep)
    lease.machine_gone = True


def _bring_up(client: FlyClient, wanted: WantedMachine, name: str, lease: Lease) -> Machine:
    watch = Watch(client=client, app=wanted.app, within=wanted.healthy_within, keep=lease.keep, verb="update")
    created = create(client, wanted, name, lambda: _find(client, wanted, name))
    healthy = watch.healthy(created)
    reached(client, wanted, healthy, doing=wanted.updating, keep=lease.keep)
    return healthy


def _find(client: FlyClient, wanted: WantedMachine, name: str) -> Machine | None:
    """Return the successor, None when there is none.

    Raises:
        FlyForeignError: the name belongs to somebody else's machine.
    """
    for machine in client.machines.list(wanted.app):
        if machine.name == name:
            if (machine.owner, machine.label) == (wanted.owner, wanted.name):
                return machine
            raise FlyForeignError(
                wanted.updating,
                f'its successor needs the name "{name}", which machine "{machine.id}" of somebody else has',
                advice=f'Remove that one ("fly machine destroy {machine.id} -a {wanted.app}") and run it again.',
            )
    return None


def _undo(client: FlyClient, wanted: WantedMachine, previous: Machine, lease: Lease) -> None:
    for left in named(client.machines.list(wanted.app), wanted.owner, wanted.name):
        if left.id != previous.id:
            client.progress(f'machine "{left.name}" did not get healthy; removing it')
            remove(client, wanted.app, left, keep=lease.keep)
    lease.keep()
    client.machines.set_metadata(wanted.app, previous, successor_mark(previous, ""), nonce=lease.nonce)


def _told(client: FlyClient, wanted: WantedMachine, previous: Machine, failure: FlyError, *, restart: bool) -> FlyError:
    """Return the failure with what it means for those who use the server, and what to do."""
    if isinstance(failure, FlyCapacityError | FlyMachineLimitError):
        advice = f"{failure.advice} Or update in place, with a gap: vm.strategy: rolling."
        return type(failure)(
            failure.doing, failure.said, status=failure.status, request_id=failure.request_id, advice=advice
        )
    if not isinstance(failure, FlyUnhealthyError):
        return failure
    changed = secrets_changed_since(client, wanted.app, previous.updated_at) if restart else ()
    fix = "Fix the cause and run the command again."
    if changed:
        fix = (
            f"Of its secrets {', '.join(changed)} changed since it last started; the old machine has the values of "
            "before until it is started again: set them right and run the command again."
        )
    advice = f"The new machine was removed; the old one was not touched and goes on serving. {fix}"
    return FlyUnhealthyError(wanted.updating, failure.said, advice=advice, log=failure.log)
