"""The server's machines as a whole: stopped while the database is put back, and started again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from clients.fly import FlyClient
from clients.fly.errors import FlyError
from clients.fly.model import Machine
from clients.fly.operations.deployment import update
from clients.fly.operations.retiring import DRAIN, STOP_WITHIN
from clients.fly.operations.unknown_machines import lasting
from clients.fly.operations.waiting import HEALTHY_WITHIN, Watch
from clients.fly.operations.wanted import WantedMachine
from ops.errors import OpsError
from ops.runtime import Runtime


def server_machines(fly: FlyClient, app: str) -> list[Machine]:
    """Return the machines of the server's app.

    Raises:
        OpsError: there are none.
    """
    machines = sorted(lasting(fly.machines.list(app)), key=lambda machine: machine.name)
    if not machines:
        raise OpsError(f'could not find a machine of app "{app}": there is none. Run "pulumi up" first.')
    return machines


@contextmanager
def stopped(fly: FlyClient, app: str, machines: Sequence[Machine], rt: Runtime) -> Iterator[None]:
    """Stop the machines for the block; when it fails, those that ran are started again."""
    running = [machine for machine in machines if machine.state == "started"]
    try:
        _stop(fly, app, running, rt)
        yield
    except BaseException:  # ^C as well: what was begun is put back, and it is raised again
        rt.progress.say("starting the server again, as it was")
        for machine in running:
            try:
                _start(fly, app, machine)
            except FlyError as error:
                # Why it came to this matters more; the others are started all the same.
                rt.progress.say(f"{error} It stays stopped: fly machine start {machine.id} -a {app}")
        raise


def _stop(fly: FlyClient, app: str, machines: Sequence[Machine], rt: Runtime) -> None:
    rt.progress.say(f"stopping {len(machines)} machine(s) of {app}")
    # Without its service a stopped machine is not started by the next request.
    for machine in machines:
        fly.machines.cordon(app, machine)
    fly.timing.sleep(DRAIN)
    for machine in machines:
        fly.machines.stop(app, machine)
        if not Watch(client=fly, app=app, within=STOP_WITHIN).reached(machine, "stopped", version=machine.instance_id):
            raise OpsError(f'could not stop machine "{machine.name}" of app "{app}". Run it again.')


def _start(fly: FlyClient, app: str, machine: Machine) -> None:
    try:
        fly.machines.start(app, machine)
    finally:
        fly.machines.uncordon(app, machine)


def start(fly: FlyClient, app: str, machines: Sequence[Machine]) -> None:
    """Start the machines as they are and wait until they are healthy.

    Raises:
        FlyError: one is not.
    """
    for machine in machines:
        if fly.machines.get(app, machine.id).state != "started":
            _start(fly, app, machine)
    for machine in machines:
        Watch(client=fly, app=app, within=HEALTHY_WITHIN).healthy(fly.machines.get(app, machine.id))


def run_image(fly: FlyClient, app: str, machines: Sequence[Machine], image: str, rt: Runtime) -> None:
    """Update each machine to `image` and start it, one after the other.

    Raises:
        OpsError: one is not healthy with it; those before it are.
    """
    for listed in machines:
        rt.progress.say(f'updating machine "{listed.name}" to {image}')
        machine = fly.machines.get(app, listed.id)
        wanted = WantedMachine(
            app=app,
            name=machine.label,
            region=machine.region,
            owner=machine.owner,
            config={"metadata": {}, **machine.config, "image": image},
        )
        try:
            update(fly, wanted, machine, restart=False)
        except FlyError as error:
            advice = f"The database is as before the upgrade and fits {image} alone. See why, and run it again."
            raise OpsError(f"{error}\n{advice}") from error
