"""Bringing an app's secrets to its running machines, as `fly secrets deploy` does.

Secrets reach a machine only when it is created or updated, so each machine of the app is updated with the config it
has, one after the other, and has to be healthy before the next one's turn.
"""

from __future__ import annotations

from dataclasses import dataclass

from clients.fly.client import FlyClient
from clients.fly.errors import FlyUnhealthyError
from clients.fly.model import GROUP_KEY, PLATFORM_KEY, Machine, MachineRequest
from clients.fly.operations.in_place import secrets_changed_since, send_update
from clients.fly.operations.leases import Lease
from clients.fly.operations.one_off import GROUP
from clients.fly.operations.waiting import HEALTHY_WITHIN, Watch


@dataclass(frozen=True, kw_only=True)
class UpdatedMachine:
    """A machine that was updated; `started` is false for one that was stopped and was left so."""

    machine_id: str
    instance_id: str
    started: bool


def update_secrets_in_place(
    client: FlyClient, app: str, *, min_secrets_version: int = 0, healthy_within: float = HEALTHY_WITHIN
) -> tuple[UpdatedMachine, ...]:
    """Update every machine of `app` that flyctl would, under lease, one after the other.

    May be killed and run again: updating a machine twice with the same config is harmless.

    Args:
        client: Fly.
        app: the app's name.
        min_secrets_version: of our last write; 0 asks the API.
        healthy_within: seconds for each machine to start and pass its checks.

    Raises:
        FlyUnhealthyError: a machine is not healthy with the new secrets; those after it were not touched.
    """
    version = min_secrets_version or client.secrets.present_version(app)
    return tuple(
        _roll(client, app, machine, version, healthy_within)
        for machine in client.machines.list(app)
        if machine.metadata.get(PLATFORM_KEY) == "v2" and machine.metadata.get(GROUP_KEY) != GROUP
    )


def _roll(client: FlyClient, app: str, machine: Machine, version: int, healthy_within: float) -> UpdatedMachine:
    with Lease(client, app, machine) as lease:
        watch = Watch(client=client, app=app, within=healthy_within, keep=lease.keep, verb="update the secrets of")
        # Read again under the lease: somebody may have deployed meanwhile.
        machine = watch.settled(client.machines.get(app, machine.id))
        started = machine.state == "started"
        request = MachineRequest(
            name=machine.name,
            region=machine.region,
            config=machine.config,
            min_secrets_version=version,
            skip_launch=not started,
        )
        client.progress(f'updating machine "{machine.name}" of app "{app}" with the new secrets')
        updated = send_update(client, app, machine, request, lease)
        if started:
            try:
                watch.healthy(updated)
            except FlyUnhealthyError as failure:
                changed = secrets_changed_since(client, app, machine.updated_at)
                which = f", of which {', '.join(changed)} changed since it last started" if changed else ""
                advice = (
                    f"It runs with the app's present secrets{which}; set them right (or roll back) and run the command "
                    "again."
                )
                raise FlyUnhealthyError(failure.doing, failure.said, advice=advice, log=failure.log) from None
        return UpdatedMachine(machine_id=machine.id, instance_id=updated.instance_id, started=started)
