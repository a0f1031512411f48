"""Bringing one machine to what is wanted, and taking it away again.

launch  finds ours or creates it, and removes what it created when that does not get healthy
update  updates in place under a lease, and puts the previous config back when the new one does not get healthy
retire  drains, stops and destroys
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from clients.fly.client import FlyClient
from clients.fly.config import differences, stays_up
from clients.fly.errors import (
    FlyConflictError,
    FlyError,
    FlyForeignError,
    FlyHostError,
    FlyNotFoundError,
    FlyRefusedError,
    FlyTransientError,
    FlyUnhealthyError,
    FlyUnreachableError,
)
from clients.fly.model import Machine, MachineRequest
from clients.fly.operations.leases import Lease
from clients.fly.operations.waiting import Watch
from clients.loops import create_once

DRAIN = 2.0
"""Seconds between telling the edge to send nothing new and stopping the program."""

STOP_WITHIN = 45.0
GONE_WITHIN = 30.0
_UNCLEAR = (FlyTransientError, FlyUnreachableError, FlyConflictError)


@dataclass(frozen=True, kw_only=True)
class WantedMachine:
    """A machine as it should be.

    Attributes:
        config: the whole config, our marks included (`config.with_marks`).
        min_secrets_version: 0 when the secrets are as the machine has them.
        healthy_within: seconds for start and checks.
        adopt: a machine that no stack of this project made may be taken over.
    """

    app: str
    name: str
    region: str
    owner: str
    config: Mapping[str, Any]
    min_secrets_version: int = 0
    healthy_within: float = 180.0
    adopt: bool = False

    def request(self) -> MachineRequest:
        """Return the body of create and update."""
        return MachineRequest(
            name=self.name, region=self.region, config=self.config, min_secrets_version=self.min_secrets_version
        )

    @property
    def doing(self) -> str:
        """What creating it is called in errors."""
        return f'create machine "{self.name}" in app "{self.app}"'


def launch(client: FlyClient, wanted: WantedMachine) -> Machine:
    """Return the healthy machine: ours if it exists already, else a new one.

    Raises:
        FlyForeignError: the name belongs to a machine of somebody else.
        FlyUnhealthyError: it did not get healthy; a machine created here is removed again.
    """
    existing = find(client, wanted)
    if existing and existing.owner == wanted.owner and existing.region != wanted.region:
        # Region is immutable; with our name and our mark it can only be what an interrupted run left.
        destroy(client, wanted.app, existing)
        existing = None
    if existing:
        return update(client, wanted, existing, restart=wanted.min_secrets_version > 0)
    created = _create(client, wanted)
    try:
        return Watch(client=client, app=wanted.app, within=wanted.healthy_within).healthy(created)
    except FlyError:
        client.progress(f'machine "{wanted.name}" did not get healthy; removing it')
        # The next run removes what this one cannot; why it did not get healthy matters more.
        with suppress(FlyError):
            destroy(client, wanted.app, created)
        raise


def find(client: FlyClient, wanted: WantedMachine) -> Machine | None:
    """Return the machine that `wanted` is about, None when there is none.

    Ours is known by our marks or by its name. With `adopt` it may also be one with another name (nobody can rename
    a machine) in the same region and process group that no stack has marked.

    Raises:
        FlyForeignError: a machine with this name exists and may not be taken.
    """
    machines = client.machines.list(wanted.app)
    for machine in machines:
        if machine.owner == wanted.owner and machine.label == wanted.name:
            return machine
    group = wanted.config.get("metadata", {}).get("fly_process_group", "app")
    for machine in machines:
        if machine.name == wanted.name:
            if wanted.adopt and not machine.owner:
                return machine
            raise FlyForeignError(
                wanted.doing,
                f'machine "{machine.id}" has that name already and '
                + (f"belongs to another stack ({machine.owner})" if machine.owner else "this stack did not make it"),
                advice="Remove it, choose another name, or take over what no stack owns (fly.adoptExisting: true).",
            )
    candidates = [
        machine
        for machine in machines
        if not machine.owner
        and machine.region == wanted.region
        and machine.metadata.get("fly_process_group") == group
        and not machine.config.get("auto_destroy")
    ]
    return min(candidates, key=lambda machine: machine.id) if wanted.adopt and candidates else None


def update(client: FlyClient, wanted: WantedMachine, machine: Machine, *, restart: bool) -> Machine:
    """Bring an existing machine to what is wanted and return it, healthy.

    Args:
        client: Fly.
        wanted: the new state.
        machine: as it was just read.
        restart: start a new instance version also when the config is the same (secrets changed).

    Raises:
        FlyUnhealthyError: the new config did not get healthy; the previous one runs again, unless the text says not.
        FlyHostError: the machine's host does not answer.
    """
    if machine.host_status == "unreachable":
        doing = f'update machine "{machine.name}" of app "{wanted.app}"'
        raise FlyHostError(doing, "Fly cannot reach the host it lives on")
    machine = Watch(client=client, app=wanted.app, within=wanted.healthy_within, verb="update").settled(machine)
    paths = differences(wanted.config, machine.config)
    marks = {key: value for key, value in wanted.config["metadata"].items() if machine.metadata.get(key) != value}
    if restart or any(not path.startswith("metadata.") for path in paths):
        return _update(client, wanted, machine, restart=restart)
    if marks:
        client.machines.set_metadata(wanted.app, machine, marks)
    if machine.cordoned:
        client.machines.uncordon(wanted.app, machine)
    if machine.state != "started":
        if not stays_up(wanted.config):
            return client.machines.get(wanted.app, machine.id)
        client.machines.start(wanted.app, machine)
    # Also what was found as it should be may be what an interrupted run left unhealthy.
    return Watch(client=client, app=wanted.app, within=wanted.healthy_within).healthy(machine)


def retire(client: FlyClient, app: str, machine: Machine) -> None:
    """Drain, stop and destroy the machine; done when it is gone.

    Raises:
        FlyNotFoundError: it is not there; whether that means gone, the caller has to prove.
    """
    # A host that does not answer can neither drain nor stop; destroying is all that may still work.
    if machine.state == "started" and machine.host_status != "unreachable":
        if machine.config.get("services"):
            client.machines.cordon(app, machine)
            client.timing.sleep(DRAIN)
        client.machines.stop(app, machine)
        Watch(client=client, app=app, within=STOP_WITHIN).reached(machine, "stopped", version=machine.instance_id)
    destroy(client, app, machine)


def destroy(client: FlyClient, app: str, machine: Machine) -> None:
    """Destroy the machine at once and wait until it is gone; one that is gone already is fine.

    Raises:
        FlyConflictError: somebody holds its lease, or its host does not answer.
    """
    with suppress(FlyNotFoundError):
        client.machines.destroy(app, machine)
    Watch(client=client, app=app, within=GONE_WITHIN).reached(machine, "destroyed", version=machine.instance_id)


def _create(client: FlyClient, wanted: WantedMachine) -> Machine:
    """Create the machine, looking for it first whenever an answer left open whether it exists."""
    return create_once(
        lambda: client.machines.create(wanted.app, wanted.request()),
        lambda: find(client, replace(wanted, adopt=False)),
        unclear=(*_UNCLEAR, FlyRefusedError),
        final=(FlyConflictError, FlyRefusedError),
        retrying=lambda error: client.progress(f'machine "{wanted.name}" was not created ({error.said}); trying again'),
        timing=client.timing,
    )


def _update(client: FlyClient, wanted: WantedMachine, previous: Machine, *, restart: bool) -> Machine:
    """Update under a lease; put the previous config back when the new one does not get healthy."""
    with Lease(client, wanted.app, previous) as lease:
        watch = Watch(client=client, app=wanted.app, within=wanted.healthy_within, keep=lease.keep, verb="update")
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
        unclear=_UNCLEAR,
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
        Watch(client=client, app=wanted.app, within=wanted.healthy_within, keep=lease.keep).healthy(restored)
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
