"""One-off machines: run a program once on the app's network, and learn how it ended, or use it while it runs.

What flyctl does for a release command. Can be killed at any point and run again: a run first removes what an earlier
one of the same name left behind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any

from clients.fly.client import FlyClient
from clients.fly.errors import (
    FlyConflictError,
    FlyError,
    FlyNotFoundError,
    FlyTimedOutError,
    FlyTransientError,
    FlyUnhealthyError,
    FlyUnreachableError,
)
from clients.fly.model import GROUP_KEY, NAME_KEY, OWNER_KEY, PLATFORM_KEY, Exit, Machine, MachineRequest
from clients.fly.operations.retiring import destroy
from clients.fly.operations.waiting import POLL, SLICE, Watch
from clients.loops import create_once, until

GROUP = "fly_app_release_command"
"""The process group by which flyctl knows machines that are not the app's own."""

_STARTABLE_WITHIN = 60.0
_EVENT_WITHIN = 20.0
_LOG_WITHIN = 15.0


@dataclass(frozen=True, kw_only=True)
class OneOffRequest:
    """A program to run once.

    Attributes:
        name: what it is, for example "migrate"; leftovers are known by it.
        cmd: arguments for the image's entry point.
        min_secrets_version: version of the app's secrets that it has to see, 0 for any.
        memory_mb: of the machine; it is gone afterwards.
        timeout: seconds for the program, its start included.
        reads_log: its log is wanted whatever its exit code.
        needs_secrets: it gets the app's secrets.
    """

    app: str
    name: str
    image: str
    region: str
    cmd: Sequence[str]
    owner: str
    env: Mapping[str, str] = field(default_factory=dict)
    min_secrets_version: int = 0
    memory_mb: int = 1024
    swap_mb: int = 0
    timeout: float = 300.0
    reads_log: bool = False
    needs_secrets: bool = True

    @property
    def doing(self) -> str:
        """What running it is called in errors."""
        return f'run "{self.name}" in app "{self.app}"'

    def config(self) -> dict[str, Any]:
        """Return the machine config."""
        init: dict[str, Any] = {"cmd": list(self.cmd)}
        if self.swap_mb:
            init["swap_size_mb"] = self.swap_mb
        fixed = {"RELEASE_COMMAND": "1", "FLY_PROCESS_GROUP": GROUP, "PRIMARY_REGION": self.region}
        return {
            "image": self.image,
            "env": fixed | dict(self.env),
            "init": init,
            "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": self.memory_mb},
            "restart": {"policy": "no"},
            "auto_destroy": True,
            "dns": {"skip_registration": True},
            "metadata": {PLATFORM_KEY: "v2", GROUP_KEY: GROUP, OWNER_KEY: self.owner, NAME_KEY: self.name},
        }


@dataclass(frozen=True, kw_only=True)
class OneOffResult:
    """How the program ended. `log_tail` is oldest first, read when it failed or `reads_log`."""

    machine_id: str
    exit_code: int
    oom_killed: bool
    log_tail: tuple[str, ...] = ()


def run_one_off(client: FlyClient, request: OneOffRequest) -> OneOffResult:
    """Run the program and return how it ended, whatever its exit code; the machine is gone afterwards.

    Raises:
        FlyTimedOutError: it did not end in time; it was destroyed.
        FlyError: the machine could not be made, started or read.
    """
    _remove_leftovers(client, request)
    machine = _create(client, request)
    try:
        client.progress(f'running "{request.name}" as machine {machine.id} of app "{request.app}"')
        _start(client, request, machine)
        _wait_until_over(client, request, machine)
        ended = _exit_of(client, request, machine)
    except BaseException:  # ^C as well: what was begun is put back, and it is raised again
        with suppress(FlyError):
            destroy(client, request.app, machine)
        raise
    return result_of(client, request, machine, ended)


@contextmanager
def running_one_off(client: FlyClient, request: OneOffRequest) -> Iterator[Machine]:
    """Start the program and lend its machine, which is gone after the block; it need not have started its work yet.

    Raises:
        FlyError: the machine could not be made or started.
    """
    _remove_leftovers(client, request)
    machine = _create(client, request)
    try:
        client.progress(f'starting "{request.name}" as machine {machine.id} of app "{request.app}"')
        _start(client, request, machine)
        yield machine
    finally:
        try:
            destroy(client, request.app, machine)
        except FlyError as error:
            # What happened in the block matters more, and the next run removes it.
            client.progress(f"{error} It goes when its program ends: fly machine destroy --force {machine.id}")


def result_of(client: FlyClient, request: OneOffRequest, machine: Machine, ended: Exit) -> OneOffResult:
    """Return how a program ended, with its log where that is wanted."""
    log = _log_of(client, request, machine) if ended.exit_code or request.reads_log else ()
    return OneOffResult(machine_id=machine.id, exit_code=ended.exit_code, oom_killed=ended.oom_killed, log_tail=log)


def _ours(client: FlyClient, request: OneOffRequest) -> list[Machine]:
    return [
        machine
        for machine in client.machines.list(request.app)
        if machine.metadata.get(GROUP_KEY) == GROUP
        and machine.owner == request.owner
        and machine.metadata.get(NAME_KEY) == request.name
    ]


def _remove_leftovers(client: FlyClient, request: OneOffRequest) -> None:
    for machine in _ours(client, request):
        client.progress(f'removing machine {machine.id}, left by an earlier "{request.name}"')
        destroy(client, request.app, machine)


def _create(client: FlyClient, request: OneOffRequest) -> Machine:
    body = MachineRequest(
        name=f"{request.name}-{token_hex(3)}",
        region=request.region,
        config=request.config(),
        min_secrets_version=request.min_secrets_version,
        skip_launch=True,
        skip_secrets=not request.needs_secrets,
    )
    return create_once(
        lambda: client.machines.create(request.app, body),
        lambda: next((machine for machine in _ours(client, request) if machine.name == body.name), None),
        unclear=(FlyTransientError, FlyUnreachableError, FlyConflictError),
        retrying=lambda error: client.progress(f'"{request.name}" was not created ({error.said}); trying again'),
        timing=client.timing,
    )


def _start(client: FlyClient, request: OneOffRequest, machine: Machine) -> None:
    """Start it, once the host has prepared it: a machine made with skip_launch is "created" for a moment."""
    machine = Watch(client=client, app=request.app, within=_STARTABLE_WITHIN).settled(machine)
    # Not found: the answer to an earlier attempt was lost, it has run already, and its machine is gone.
    with suppress(FlyNotFoundError):
        for left in until(_STARTABLE_WITHIN, timing=client.timing, every=POLL):
            if machine.state == "created" and left:
                machine = client.machines.get(request.app, machine.id)
                continue
            try:
                client.machines.start(request.app, machine)
            except FlyConflictError:
                # 412: "unable to start machine from current state", a moment too early.
                if not left:
                    raise
            else:
                return


def _wait_until_over(client: FlyClient, request: OneOffRequest, machine: Machine) -> None:
    """Return when the program has ended, which its machine does not outlive.

    A short program may be over, and its machine gone, before anybody could see it started.
    """
    watch = Watch(client=client, app=request.app, within=SLICE)
    for left in until(request.timeout, timing=client.timing, every=0):
        if watch.reached(machine, "destroyed"):
            return
        client.progress(f'"{request.name}" is still running as machine {machine.id}; {left:.0f} s left')
        seen = client.machines.get(request.app, machine.id)
        if seen.state in {"failed", "launch_failed"}:
            raise FlyUnhealthyError(
                request.doing, "its machine could not be booted", log=_log_of(client, request, machine)
            )
        if seen.state == "stopped" and seen.last_exit():
            destroy(client, request.app, seen)
            return
    log = _log_of(client, request, machine)
    raise FlyTimedOutError(request.doing, f"it did not end within {request.timeout:.0f} s", log=log)


def _exit_of(client: FlyClient, request: OneOffRequest, machine: Machine) -> Exit:
    for _ in until(_EVENT_WITHIN, timing=client.timing, every=POLL):
        # Machines can be read for a while after their destruction.
        ended = client.machines.get(request.app, machine.id).last_exit()
        if ended:
            return ended
    log = _log_of(client, request, machine)
    raise FlyTimedOutError(request.doing, "its machine is gone and no exit code was recorded", log=log)


def _log_of(client: FlyClient, request: OneOffRequest, machine: Machine) -> tuple[str, ...]:
    """Return the log tail once it stops growing: lines arrive some seconds late."""
    seen: tuple[str, ...] = ()
    for _ in until(_LOG_WITHIN, timing=client.timing, every=2.0):
        before, seen = seen, client.logs.tail(request.app, machine.id)
        if seen and seen == before:
            break
    return seen
