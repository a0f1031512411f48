"""Fly machines (`/apps/{app}/machines`): one call per method; waiting and putting back live in `deployment`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clients.fly.errors import FlyTransientError
from clients.fly.model import Machine, MachineRequest
from clients.fly.wire import Wire, path
from clients.shapes import identity, record, whole_list, whole_object
from clients.transport import Call, Reply

GET_RATE, GET_BURST = 5.0, 9
"""For reading one machine: calls a second, and how many at once. Fly allows 5 and 10, see `client.RATE`."""

LEASE_HEADER = "fly-machine-lease-nonce"


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a command in a machine ended, and what it wrote."""

    exit_code: int
    stdout: str = field(repr=False)
    stderr: str = field(repr=False)


class Machines:
    """Read and change machines.

    Args:
        wire: for everything.
        reading: the same API under the limit that reading one machine has.
    """

    def __init__(self, wire: Wire, reading: Wire) -> None:
        self._wire, self._reading = wire, reading

    def list(self, app: str) -> tuple[Machine, ...]:
        """Return the app's machines; destroyed ones are left out.

        Raises:
            FlyNotFoundError: no such app, or none that this token may see.
        """
        doing = f'list the machines of app "{app}"'
        machines = self._wire.get(doing, path("apps", app, "machines"), _machines, pace=f"list:{app}")
        return tuple(machine for machine in machines if not machine.destroyed)

    def get(self, app: str, machine: str) -> Machine:
        """Return the machine; it can be read for a while after its destruction.

        Raises:
            FlyNotFoundError: no such machine or app, or none that this token may see.
        """
        route = path("apps", app, "machines", machine)
        doing = f'read machine "{machine}" of app "{app}"'
        return self._reading.get(doing, route, Machine.from_wire, pace=f"get:{machine}")

    def create(self, app: str, request: MachineRequest) -> Machine:
        """Create the machine; without `skip_launch` it starts.

        Never repeated after an unclear answer: the caller looks for it by name first.
        """
        return self._wire.read(
            f'create machine "{request.name}" in app "{app}"',
            Call(
                method="POST",
                path=path("apps", app, "machines"),
                json=request.to_wire(),
                pace=f"create:{app}",
                reads=True,
                retry_on=image_still_unknown,
            ),
            Machine.from_wire,
        )

    def update(
        self, app: str, machine: Machine, request: MachineRequest, *, nonce: str = "", current_version: str = ""
    ) -> Machine:
        """Replace the machine's config; it restarts as a new instance version.

        Args:
            app: its app.
            machine: as it was read.
            request: the whole config; name and region are immutable and ignored by the API.
            nonce: of the lease that we hold.
            current_version: refuse when the machine has another instance version by now.
        """
        body = request.to_wire()
        if current_version:
            body["current_version"] = current_version
        return self._wire.read(
            f'update machine "{machine.name}" of app "{app}"',
            Call(
                method="POST",
                path=path("apps", app, "machines", machine.id),
                json=body,
                headers=_lease(nonce),
                pace=f"update:{machine.id}",
                reads=True,
                retry_on=image_still_unknown,
            ),
            Machine.from_wire,
        )

    def wait(self, app: str, machine: Machine, state: str, *, version: str = "", seconds: int = 10) -> bool:
        """Wait up to `seconds` (1 to 60) for `state`; tell whether it was reached."""
        params: dict[str, str | int] = {"state": state, "timeout": seconds}
        if version:
            params["version"] = version
        call = Call(
            method="GET",
            path=path("apps", app, "machines", machine.id, "wait"),
            params=params,
            read_timeout=seconds + 15.0,
            answers=frozenset({408}),
            pace=f"wait:{machine.id}",
        )
        try:
            self._wire.send(f'wait for machine "{machine.name}" to be {state}', call)
        except FlyTransientError as error:
            if error.status == 408:
                return False
            raise
        return True

    def start(self, app: str, machine: Machine, *, nonce: str = "") -> None:
        """Start a stopped, suspended or created machine."""
        self._act("start", app, machine, nonce=nonce)

    def stop(self, app: str, machine: Machine, *, nonce: str = "") -> None:
        """Ask the machine's program to end, with the signal and the time that its config states."""
        self._act("stop", app, machine, nonce=nonce)

    def cordon(self, app: str, machine: Machine, *, nonce: str = "") -> None:
        """Send the machine no new requests."""
        self._act("cordon", app, machine, nonce=nonce)

    def uncordon(self, app: str, machine: Machine, *, nonce: str = "") -> None:
        """Send the machine requests again."""
        self._act("uncordon", app, machine, nonce=nonce)

    def destroy(self, app: str, machine: Machine, *, nonce: str = "") -> None:
        """Destroy the machine, running or not.

        Raises:
            FlyNotFoundError: it is not there; whether that means gone, the caller has to prove.
        """
        self._wire.send(
            f'destroy machine "{machine.name}" of app "{app}"',
            Call(
                method="DELETE",
                path=path("apps", app, "machines", machine.id),
                params={"force": "true"},
                headers=_lease(nonce),
                idempotent=True,
                pace=f"destroy:{machine.id}",
            ),
        )

    def run(self, app: str, machine: Machine, command: Sequence[str], *, stdin: str = "", seconds: int) -> Execution:
        """Run a command in a started machine, beside its program, and return how it ended.

        Args:
            app: its app.
            machine: the machine.
            command: the words of the command.
            stdin: what it reads; a secret belongs here and not into the words.
            seconds: that it may take.

        Raises:
            FlyConflictError: the machine is not running.
        """
        reply = self._wire.send(
            f'run a command in machine "{machine.name}" of app "{app}"',
            Call(
                method="POST",
                path=path("apps", app, "machines", machine.id, "exec"),
                json={"command": list(command), "stdin": stdin, "timeout": seconds},
                read_timeout=seconds + 15.0,
                pace=f"exec:{machine.id}",
            ),
        )
        body = record(reply.json())
        return Execution(
            exit_code=int(body.get("exit_code") or 0),
            stdout=str(body.get("stdout") or ""),
            stderr=str(body.get("stderr") or ""),
        )

    def set_metadata(self, app: str, machine: Machine, metadata: Mapping[str, str], *, nonce: str = "") -> None:
        """Set these metadata keys and leave the others, an empty value removes one; the machine goes on running."""
        self._wire.send(
            f'mark machine "{machine.name}" of app "{app}"',
            Call(
                method="PATCH",
                path=path("apps", app, "machines", machine.id, "metadata"),
                json={"metadata": dict(metadata)},
                headers=_lease(nonce),
                idempotent=True,
                pace=f"metadata:{machine.id}",
            ),
        )

    def lease(self, app: str, machine: Machine, *, seconds: int, nonce: str = "") -> str:
        """Take the machine's lease, or refresh the one of `nonce`; return its nonce.

        Raises:
            FlyConflictError: another process holds it.
        """
        return self._wire.read(
            f'take the lease of machine "{machine.name}" of app "{app}"',
            Call(
                method="POST",
                path=path("apps", app, "machines", machine.id, "lease"),
                json={"description": "pulumi prefect-fly", "ttl": seconds},
                headers=_lease(nonce),
                pace=f"lease:{machine.id}",
                reads=True,
            ),
            _nonce,
        )

    def release(self, app: str, machine: Machine, nonce: str) -> None:
        """Give the lease back."""
        self._wire.send(
            f'release the lease of machine "{machine.name}" of app "{app}"',
            Call(
                method="DELETE",
                path=path("apps", app, "machines", machine.id, "lease"),
                headers=_lease(nonce),
                idempotent=True,
                pace=f"release:{machine.id}",
            ),
        )

    def _act(self, verb: str, app: str, machine: Machine, *, nonce: str) -> None:
        # A state asked for twice is the same state, so these may be repeated.
        self._wire.send(
            f'{verb} machine "{machine.name}" of app "{app}"',
            Call(
                method="POST",
                path=path("apps", app, "machines", machine.id, verb),
                headers=_lease(nonce),
                idempotent=True,
                pace=f"{verb}:{machine.id}",
            ),
        )


def _machines(body: object) -> tuple[Machine, ...]:
    return tuple(Machine.from_wire(entry) for entry in whole_list(body))


def _nonce(body: object) -> str:
    # Documented and seen inside `data`, published flat.
    entry = whole_object(body)
    return identity(record(entry.get("data")) or entry, "nonce")


def image_still_unknown(reply: Reply) -> bool:
    """Tell whether the registry has not yet told the API about a fresh push; it takes up to 10 s to arrive."""
    return reply.status == 400 and b"MANIFEST_UNKNOWN" in reply.body


def _lease(nonce: str) -> dict[str, Any]:
    return {LEASE_HEADER: nonce} if nonce else {}
