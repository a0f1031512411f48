"""Taking over a server that people made by hand: which of its machines become ours, and which go.

`fly deploy` makes two machines unless it is told otherwise, so a server made by hand often has more machines than the
stack has replicas. Each replica takes one of its region; the others go once all replicas are healthy, so that the app
answers all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clients.fly.client import FlyClient
from clients.fly.errors import FlyForeignError
from clients.fly.model import GROUP_KEY, Machine
from clients.fly.operations.retiring import retire
from clients.fly.operations.unknown_machines import lasting

_OURS_TO_TAKE = frozenset({"app", "services"})


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """What taking over means for each machine that no stack has marked.

    Attributes:
        adopted: our name for a machine, and the machine that gets it.
        retired: machines that no replica takes.
        refused: machines that cannot be taken, and why.
    """

    adopted: Mapping[str, Machine]
    retired: tuple[Machine, ...]
    refused: tuple[tuple[Machine, str], ...]

    def lines(self) -> list[str]:
        """Return one line for each machine, for people."""
        return [
            *(f"machine {machine.id} ({machine.name}) becomes {name}" for name, machine in self.adopted.items()),
            *(f"machine {machine.id} ({machine.name}) is drained and removed" for machine in self.retired),
            *(f"machine {machine.id} ({machine.name}) cannot be taken: {why}" for machine, why in self.refused),
        ]


def plan(machines: Iterable[Machine], wanted: Sequence[tuple[str, str]]) -> Takeover:
    """Return what happens to the unmarked ones of `machines`.

    Args:
        machines: all machines of the app.
        wanted: name and region of each API machine of the stack, in the order in which they are made.
    """
    unmarked = sorted((m for m in lasting(machines) if not m.owner), key=lambda m: m.id)
    refused = tuple((machine, why) for machine in unmarked if (why := _obstacle(machine)))
    left = [m for m in unmarked if not _obstacle(m) and m.metadata.get(GROUP_KEY) == "app"]
    adopted: dict[str, Machine] = {}
    for name, region in wanted:
        candidates = [m for m in left if m.name == name] or [m for m in left if m.region == region]
        if candidates:
            adopted[name] = candidates[0]
            left.remove(candidates[0])
    return Takeover(adopted=adopted, retired=tuple(left), refused=refused)


def require_adoptable(app: str, machines: Iterable[Machine]) -> None:
    """Return when every unmarked machine can be taken or removed.

    Raises:
        FlyForeignError: one cannot; nothing was changed.
    """
    refused = plan(machines, ()).refused
    if refused:
        named = "; ".join(f"machine {machine.id} ({machine.name}): {why}" for machine, why in refused)
        commands = " or ".join(f'"fly machine destroy {machine.id} -a {app}"' for machine, _why in refused)
        raise FlyForeignError(
            f'take over app "{app}"',
            f"{named}",
            advice=f"Nothing was changed. Move what it does elsewhere and remove it ({commands}), then run it again.",
        )


def retire_unmarked(client: FlyClient, app: str) -> None:
    """Drain and remove the unmarked machines of the app that serve it: all replicas have theirs by now."""
    for machine in plan(client.machines.list(app), ()).retired:
        client.progress(f'machine "{machine.name}" of app "{app}" is no longer needed; removing it')
        retire(client, app, machine)


def _obstacle(machine: Machine) -> str:
    group = machine.metadata.get(GROUP_KEY)
    if not group:
        return "it has no process group, so nobody can tell what it is for"
    if group not in _OURS_TO_TAKE:
        return f'it is of process group "{group}", which the stack does not have'
    if machine.config.get("mounts"):
        return "it has a volume, whose data would be lost"
    return ""
