"""Bringing one machine to what is wanted: made, found again, updated.

launch  finds ours or creates it, and removes what it created when that does not get healthy
update  beside the old one or in place (bluegreen, in_place); leaves alone what is as wanted
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from clients.fly.client import FlyClient
from clients.fly.config import differences, stays_up
from clients.fly.errors import FlyError, FlyForeignError, FlyHostError, FlyNotFoundError
from clients.fly.model import GROUP_KEY, Machine
from clients.fly.operations.bluegreen import replace_machine, settle
from clients.fly.operations.in_place import update_in_place
from clients.fly.operations.leases import Lease
from clients.fly.operations.pairs import own_names, successor_of
from clients.fly.operations.reaching import reached
from clients.fly.operations.retiring import STOP_WITHIN, destroy, remove
from clients.fly.operations.succession import current
from clients.fly.operations.unknown_machines import serves
from clients.fly.operations.waiting import Watch
from clients.fly.operations.wanted import WantedMachine, create


def launch(client: FlyClient, wanted: WantedMachine) -> Machine:
    """Return the healthy machine: ours if it exists already, else a new one.

    Raises:
        FlyForeignError: the name belongs to a machine of somebody else.
        FlyUnhealthyError: it did not get healthy; a machine created here is removed again.
    """
    machines = client.machines.list(wanted.app)
    # Region is immutable; with our label and our mark it can only be what an interrupted run left.
    elsewhere = [m for m in machines if _is_ours(m, wanted) and m.region != wanted.region]
    for machine in elsewhere:
        destroy(client, wanted.app, machine)
    existing = find(wanted, [m for m in machines if m not in elsewhere])
    if existing:
        return update(client, wanted, existing, restart=wanted.min_secrets_version > 0)
    created = create(client, wanted, wanted.name, lambda: _find_again(client, wanted))
    try:
        created = Watch(client=client, app=wanted.app, within=wanted.healthy_within).healthy(created)
        if _is_in_use(wanted, machines):
            reached(client, wanted, created, doing=wanted.doing)
    except FlyError:
        client.progress(f'machine "{wanted.name}" did not get healthy; removing it')
        # The next run removes what this one cannot; why it did not get healthy matters more.
        with suppress(FlyError):
            remove(client, wanted.app, created)
        raise
    return created


def _is_in_use(wanted: WantedMachine, machines: Sequence[Machine]) -> bool:
    """Tell whether the edge reaches another machine of ours, which may go because of the new one (another region)."""
    if wanted.probe is None:
        return False
    others = (machine for machine in machines if serves(machine) and machine.owner == wanted.owner)
    return any(not wanted.probe(other.id) for other in others)


def find(wanted: WantedMachine, machines: Sequence[Machine]) -> Machine | None:
    """Return the machine that `wanted` is about, None when there is none.

    Ours is known by our marks or by its name. With `adopt` it may also be one with another name (nobody can rename
    a machine) in the same region and process group that no stack has marked.

    Raises:
        FlyForeignError: a machine with this name exists and may not be taken.
    """
    ours = [machine for machine in machines if _is_ours(machine, wanted)]
    if ours:
        # One that is about to go knows of its successor, and one of our names is none of a clone's.
        return min(ours, key=lambda m: (not successor_of(m), m.name not in own_names(wanted.name), m.created_at, m.id))
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
    group = wanted.config.get("metadata", {}).get(GROUP_KEY, "app")
    candidates = [
        machine
        for machine in machines
        if not machine.owner
        and machine.region == wanted.region
        and machine.metadata.get(GROUP_KEY) == group
        and not machine.config.get("auto_destroy")
    ]
    return min(candidates, key=lambda machine: machine.id) if wanted.adopt and candidates else None


def _is_ours(machine: Machine, wanted: WantedMachine) -> bool:
    return machine.owner == wanted.owner and machine.label == wanted.name


def _find_again(client: FlyClient, wanted: WantedMachine) -> Machine | None:
    """Look for what a create with a lost answer made; nothing is taken over here."""
    return find(replace(wanted, adopt=False), client.machines.list(wanted.app))


def update(client: FlyClient, wanted: WantedMachine, machine: Machine, *, restart: bool) -> Machine:
    """Bring an existing machine to what is wanted and return it, healthy; with `bluegreen` it may be another one.

    Args:
        client: Fly.
        wanted: the new state.
        machine: as it was just read.
        restart: start anew also when the config is the same (secrets changed).

    Raises:
        FlyUnhealthyError: the new config did not get healthy; the machine runs as before, unless the text says not.
        FlyHostError: the machine's host does not answer.
    """
    try:
        return _update(client, wanted, machine, restart=restart)
    except FlyNotFoundError:
        # A call that a killed run left goes on by itself, and may have put a new machine in its place by now.
        heir = current(client, wanted.app, machine.id, owner=wanted.owner, label=wanted.name)
        if heir.id == machine.id:
            raise
        return _update(client, wanted, heir, restart=restart)


def _update(client: FlyClient, wanted: WantedMachine, machine: Machine, *, restart: bool) -> Machine:
    if machine.host_status == "unreachable":
        doing = f'update machine "{machine.name}" of app "{wanted.app}"'
        raise FlyHostError(doing, "Fly cannot reach the host it lives on")
    # What an interrupted run told to end may still work on what it has taken.
    within, ends_within = wanted.healthy_within, STOP_WITHIN
    watch = Watch(client=client, app=wanted.app, within=within, ends_within=ends_within, verb="update")
    machine = settle(client, wanted, watch.settled(machine))
    if restart or any(not path.startswith("metadata.") for path in differences(wanted.config, machine.config)):
        way = replace_machine if wanted.strategy == "bluegreen" else update_in_place
        return way(client, wanted, machine, restart=restart)
    _finish(client, wanted, machine)
    if machine.state != "started" and not stays_up(wanted.config):
        return client.machines.get(wanted.app, machine.id)
    # Also what was found as it should be may be what an interrupted run left unhealthy.
    return Watch(client=client, app=wanted.app, within=wanted.healthy_within).healthy(machine)


def _finish(client: FlyClient, wanted: WantedMachine, machine: Machine) -> None:
    """Do what a machine with the right config still lacks: our marks, requests, a start."""
    marks = {key: value for key, value in wanted.config["metadata"].items() if machine.metadata.get(key) != value}
    starts = machine.state != "started" and stays_up(wanted.config)
    if not (marks or machine.cordoned or starts):
        return
    # An update in place that was killed has left its lease.
    with Lease(client, wanted.app, machine) as lease:
        if marks:
            client.machines.set_metadata(wanted.app, machine, marks, nonce=lease.nonce)
        if machine.cordoned:
            client.machines.uncordon(wanted.app, machine, nonce=lease.nonce)
        if starts:
            client.machines.start(wanted.app, machine, nonce=lease.nonce)
