"""Updating a machine where it is: it stops, and starts again with the new config.

Nobody is served by it meanwhile. What does not get healthy is put back.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from clients.fly.client import FlyClient
from clients.fly.config import differences
from clients.fly.errors import FlyConflictError, FlyError, FlyUnhealthyError
from clients.fly.model import Machine, MachineRequest
from clients.fly.operations.leases import Lease
from clients.fly.operations.retiring import DRAIN, STOP_WITHIN
from clients.fly.operations.waiting import Watch
from clients.fly.operations.wanted import UNCLEAR, WantedMachine
from clients.loops import create_once


def update_in_place(client: FlyClient, wanted: WantedMachine, previous: Machine, *, restart: bool) -> Machine:
    """Update under a lease; put the previous config back when the new one does not get healthy.

    Args:
        client: Fly.
        wanted: the new state.
        previous: the machine as it was just read.
        restart: its secrets changed, which a failure has to name.

    Raises:
        FlyUnhealthyError: the new config did not get healthy; the previous one runs again, unless the text says not.
    """
    with Lease(client, wanted.app, previous) as lease:
        watch = _watch(client, wanted, lease, "update")
        serves = bool(previous.config.get("services")) and previous.state == "started"
        if serves:
            client.machines.cordon(wanted.app, previous, nonce=lease.nonce)
            client.timing.sleep(DRAIN)
        try:
            healthy = watch.healthy(send_update(client, wanted.app, previous, wanted.request(), lease))
        except FlyError as failure:
            error: FlyError = failure
            if isinstance(failure, FlyUnhealthyError):
                error = _put_back(client, wanted, previous, failure, lease, restart=restart)
            # A cordon that cannot be taken off is drift that the next refresh finds; the failure matters more.
            with suppress(FlyError):
                client.machines.uncordon(wanted.app, previous, nonce=lease.nonce)
            raise error from None
        if serves or previous.cordoned:
            client.machines.uncordon(wanted.app, previous, nonce=lease.nonce)
        return healthy


def _watch(client: FlyClient, wanted: WantedMachine, lease: Lease, verb: str) -> Watch:
    """Return a wait that lets a server which is told to end work on what it has taken, and then counts."""
    return Watch(
        client=client,
        app=wanted.app,
        within=wanted.healthy_within,
        ends_within=STOP_WITHIN,
        keep=lease.keep,
        verb=verb,
    )


def send_update(client: FlyClient, app: str, previous: Machine, request: MachineRequest, lease: Lease) -> Machine:
    """Send the update; after an unclear answer see whether it happened, and send it again only if not.

    `current_version` makes the repetition safe: an update that did happen refuses the second one.
    """

    def look() -> Machine | None:
        lease.keep()
        seen = client.machines.get(app, previous.id)
        happened = seen.instance_id != previous.instance_id and not differences(request.config, seen.config)
        return seen if happened else None

    return create_once(
        lambda: client.machines.update(app, previous, request, nonce=lease.nonce, current_version=previous.instance_id),
        look,
        unclear=UNCLEAR,
        final=(FlyConflictError,),
        retrying=lambda error: client.progress(
            f'machine "{previous.name}" was not updated ({error.said}); trying again'
        ),
        timing=client.timing,
    )


def _put_back(
    client: FlyClient,
    wanted: WantedMachine,
    previous: Machine,
    failure: FlyUnhealthyError,
    lease: Lease,
    *,
    restart: bool,
) -> FlyUnhealthyError:
    """Put the previous config back and return the error that tells both stories."""
    changed = secrets_changed_since(client, wanted.app, previous.updated_at) if restart else ()
    fix = "Fix the cause and run the command again."
    if changed:
        fix = (
            f"Of its secrets {', '.join(changed)} changed since it last started, and secrets cannot be put back: "
            "set them right and run the command again."
        )
    if not differences(previous.config, wanted.config):
        return FlyUnhealthyError(
            failure.doing, failure.said, advice=f"Its config did not change. {fix}", log=failure.log
        )
    client.progress(f'machine "{previous.name}" did not get healthy; putting its previous config back')
    request = MachineRequest(name=previous.name, region=previous.region, config=previous.config)
    try:
        current = client.machines.get(wanted.app, previous.id)
        restored = send_update(client, wanted.app, current, request, lease)
        _watch(client, wanted, lease, "start").healthy(restored)
    except FlyError as second:
        outcome = f"The previous config was put back and is not healthy either: {second.said}."
    else:
        outcome = "The previous config was put back and is healthy."
    return FlyUnhealthyError(failure.doing, failure.said, advice=f"{outcome} {fix}", log=failure.log)


def secrets_changed_since(client: FlyClient, app: str, moment: str) -> tuple[str, ...]:
    """Return the names of the secrets written after `moment` (RFC 3339); empty when that cannot be told."""
    try:
        after = datetime.fromisoformat(moment)
        listed = client.secrets.list_now(app)
        return tuple(
            secret.name for secret in listed if secret.updated_at and datetime.fromisoformat(secret.updated_at) > after
        )
    except (ValueError, TypeError, FlyError):
        return ()
