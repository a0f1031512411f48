"""Machines: making, finding, changing, waiting."""

from __future__ import annotations

import math
import shlex
import signal
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from sandbox.fly.calls import Calls, answering, body_of, flag
from sandbox.fly.errors import BadRequest, Conflict, DeadlineExceeded, NotFound, PreconditionFailed
from sandbox.fly.leases import grant
from sandbox.fly.models import SETTLED_STATES, Machine
from sandbox.fly.normalise import seconds_of
from sandbox.fly.wire import event_json, machine_json

_WAITABLE = SETTLED_STATES | {"settled"}
_LONGEST_WAIT = 60.0
_EXEC_TIMEOUT = 30.0


class MachineRoutes:
    """Routes below /apps/{app}/machines."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._clock = calls.clock

    def routes(self) -> list[web.RouteDef]:
        """Return them."""
        many, one = "/v1/apps/{app}/machines", "/v1/apps/{app}/machines/{machine}"
        return [
            web.get(many, answering(self.list_all)),
            web.post(many, answering(self.create)),
            web.get(one, answering(self.show)),
            web.post(one, answering(self.update)),
            web.delete(one, answering(self.delete)),
            web.get(f"{one}/wait", answering(self.wait)),
            web.post(f"{one}/start", answering(self.start)),
            web.post(f"{one}/stop", answering(self.stop)),
            web.post(f"{one}/restart", answering(self.restart)),
            web.post(f"{one}/suspend", answering(self.suspend)),
            web.post(f"{one}/signal", answering(self.signal)),
            web.post(f"{one}/exec", answering(self.exec)),
            web.post(f"{one}/cordon", answering(self.cordon)),
            web.post(f"{one}/uncordon", answering(self.uncordon)),
            web.get(f"{one}/events", answering(self.events)),
            web.get(f"{one}/versions", answering(self.versions)),
            web.get(f"{one}/ps", answering(self.processes)),
        ]

    async def list_all(self, request: web.Request) -> web.Response:
        """Return an app's machines, filtered by region, state and metadata."""
        app = self._calls.app(request)
        machines = list(app.machines.values()) if flag(request, "include_deleted") else app.live_machines
        states = {state for value in request.query.getall("state", []) for state in value.split(",")}
        region = request.query.get("region", "")
        wanted = {key[9:]: value for key, value in request.query.items() if key.startswith("metadata.")}
        chosen = [
            machine_json(machine, self._clock)
            for machine in machines
            if (not states or machine.state in states)
            and region in {"", machine.region}
            and wanted.items() <= (machine.config.get("metadata") or {}).items()
        ]
        return web.json_response(chosen)

    async def create(self, request: web.Request) -> web.Response:
        """Make a machine."""
        app = self._calls.app(request)
        body = await body_of(request)
        machine = await self._calls.fleet.create(app, body)
        return web.json_response(machine_json(machine, self._clock, nonce=self._lease_for(machine, body, request)))

    async def show(self, request: web.Request) -> web.Response:
        """Return a machine; a destroyed one too."""
        _, machine = self._calls.machine(request)
        return web.json_response(machine_json(machine, self._clock))

    async def update(self, request: web.Request) -> web.Response:
        """Replace a machine's whole config."""
        app, machine = self._calls.machine(request, alive=True)
        body = await body_of(request)
        current = body.get("current_version")

        def guard() -> None:
            self._calls.require_lease(request, machine)
            if current and current != machine.instance_id:
                raise PreconditionFailed(
                    f"failed_precondition: machine version is {machine.instance_id}, not the expected {current}"
                )

        guard()
        await self._calls.fleet.update(app, machine, body, guard)
        return web.json_response(machine_json(machine, self._clock, nonce=self._lease_for(machine, body, request)))

    async def delete(self, request: web.Request) -> web.Response:
        """Destroy a machine; a running one only by force."""
        _, machine = self._calls.machine(request, alive=True)
        self._calls.require_lease(request, machine)
        force = flag(request, "force") or flag(request, "kill")
        if not force and machine.state not in {"stopped", "suspended", "created", "failed"}:
            raise PreconditionFailed("failed_precondition: unable to destroy machine, not currently stopped")
        if machine.state != "destroying":
            self._calls.life(machine).destroy()
        return web.json_response({"ok": True})

    async def wait(self, request: web.Request) -> web.Response:
        """Wait until a machine, at a version if given, is in a state."""
        _, machine = self._calls.machine(request)
        wanted = _wanted_states(request)
        seconds = _wait_seconds(request)
        version = request.query.get("version") or request.query.get("instance_id") or ""
        if machine.host_status != "ok":
            raise Conflict("failed_precondition: machine's host is unreachable")
        if machine.destroyed and not wanted & {"destroyed", "settled"}:
            raise NotFound("machine not found")

        def done() -> bool:
            return _is_in(machine, wanted) and version in {"", machine.instance_id}

        if not await self._calls.life(machine).reached(done, seconds):
            states = ", ".join(sorted(wanted))
            raise DeadlineExceeded(
                f"deadline_exceeded: machine failed to reach desired state, {states}, currently {machine.state}"
            )
        event = machine.events[0].id if machine.events else ""
        reply = {"ok": True, "state": machine.state, "version": machine.instance_id, "event_id": event}
        return web.json_response(reply)

    async def start(self, request: web.Request) -> web.Response:
        """Start a machine that is at rest."""
        _, machine = self._calls.machine(request, alive=True)
        self._calls.require_lease(request, machine)
        previous = machine.state
        if previous == "replacing":
            raise PreconditionFailed("failed_precondition: machine getting replaced, refusing to start")
        if previous not in {"stopped", "suspended", "failed", "started", "starting"}:
            raise PreconditionFailed(f"failed_precondition: unable to start machine from current state: '{previous}'")
        if previous not in {"started", "starting"}:
            self._calls.life(machine).start()
        return web.json_response({"previous_state": previous, "migrated": False, "new_host": ""})

    async def stop(self, request: web.Request) -> web.Response:
        """Stop a machine."""
        _, machine = self._calls.machine(request, alive=True)
        self._calls.require_lease(request, machine)
        body = await body_of(request)
        number, seconds = _signal(body.get("signal")), _seconds(body.get("timeout"))
        if machine.state not in {"stopped", "stopping", "suspended"}:
            self._calls.life(machine).stop(number, seconds)
        return web.json_response({"ok": True})

    async def restart(self, request: web.Request) -> web.Response:
        """Stop and start a machine with the config and the secrets it has."""
        _, machine = self._calls.machine(request, alive=True)
        self._calls.require_lease(request, machine)
        if machine.state not in {"started", "stopped"}:
            raise PreconditionFailed(f"failed_precondition: unable to restart machine in state: '{machine.state}'")
        number = signal.SIGKILL if flag(request, "force_stop") else _signal(request.query.get("signal"))
        self._calls.life(machine).restart(number, _seconds(request.query.get("timeout")))
        return web.json_response({"ok": True})

    async def suspend(self, request: web.Request) -> web.Response:
        """Freeze a machine; one with swap cannot be."""
        _, machine = self._calls.machine(request, alive=True)
        self._calls.require_lease(request, machine)
        if (machine.config.get("init") or {}).get("swap_size_mb"):
            raise PreconditionFailed("failed_precondition: machines with swap cannot be suspended")
        if machine.state != "started":
            raise PreconditionFailed(f"failed_precondition: unable to suspend machine in state: '{machine.state}'")
        self._calls.life(machine).suspend()
        return web.json_response({"ok": True})

    async def signal(self, request: web.Request) -> web.Response:
        """Send the program a signal."""
        _, machine = self._calls.machine(request, alive=True)
        number = _signal((await body_of(request)).get("signal"))
        if number is None:
            raise BadRequest("invalid_argument: signal is required")
        if not await self._calls.life(machine).send(number):
            raise PreconditionFailed("failed_precondition: machine not started")
        return web.json_response({"ok": True})

    async def exec(self, request: web.Request) -> web.Response:
        """Run a command in a machine."""
        _, machine = self._calls.machine(request, alive=True)
        body = await body_of(request)
        program = self._calls.life(machine).program
        if program is None or machine.state != "started":
            raise PreconditionFailed("failed_precondition: machine not running")
        command: Sequence[str] = body.get("command") or shlex.split(str(body.get("cmd") or ""))
        if not command:
            raise BadRequest("invalid_argument: command is required")
        patience = float(body.get("timeout") or _EXEC_TIMEOUT)
        output = await program.run(command, patience, str(body.get("stdin") or ""))
        reply: dict[str, Any] = {
            "exit_code": output.exit_code,
            "exit_signal": 0,
            "stdout": output.stdout,
            "stderr": output.stderr,
        }
        return web.json_response(reply)

    async def cordon(self, request: web.Request) -> web.Response:
        """Let the edge send it no more requests."""
        return await self._set_cordoned(request, cordoned=True)

    async def uncordon(self, request: web.Request) -> web.Response:
        """Let the edge send it requests again."""
        return await self._set_cordoned(request, cordoned=False)

    async def events(self, request: web.Request) -> web.Response:
        """Return what has happened, newest first."""
        _, machine = self._calls.machine(request)
        limit = int(request.query.get("limit") or 0) or None
        return web.json_response([event_json(event) for event in machine.events[:limit]])

    async def versions(self, request: web.Request) -> web.Response:
        """Return the configs it has had, newest first."""
        _, machine = self._calls.machine(request)
        versions = [{"version": version.instance_id, "user_config": version.config} for version in machine.versions]
        return web.json_response(versions)

    async def processes(self, request: web.Request) -> web.Response:
        """Return the program as the machine's only process."""
        _, machine = self._calls.machine(request, alive=True)
        if self._calls.life(machine).program is None:
            raise PreconditionFailed("failed_precondition: machine not running")
        sockets = [{"proto": "tcp", "address": f"[::]:{service['internal_port']}"} for service in machine.services]
        program = " ".join((machine.config.get("init") or {}).get("cmd") or [machine.config["image"]])
        numbers = {"pid": 1, "cpu": 0, "rss": 0, "rtime": 0, "stime": 0}
        return web.json_response([{**numbers, "command": program, "directory": "/", "listen_sockets": sockets}])

    async def _set_cordoned(self, request: web.Request, *, cordoned: bool) -> web.Response:
        app, machine = self._calls.machine(request, alive=True)
        self._calls.require_lease(request, machine)
        machine.cordoned = cordoned
        self._calls.edge.refresh(app.name)
        return web.json_response({"ok": True})

    def _lease_for(self, machine: Machine, body: dict[str, Any], request: web.Request) -> str | None:
        seconds = body.get("lease_ttl")
        if not seconds:
            return None
        return grant(machine, self._calls.tokens(request), self._clock, float(seconds), "").nonce


def _wanted_states(request: web.Request) -> set[str]:
    wanted = {state for value in request.query.getall("state", []) for state in value.split(",") if state}
    wanted = wanted or {"started"}
    if not wanted <= _WAITABLE:
        raise BadRequest(f"invalid_argument: unable to wait for state {', '.join(sorted(wanted - _WAITABLE))}")
    return wanted


def _wait_seconds(request: web.Request) -> float:
    text = request.query.get("timeout", "60").removesuffix("s")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 1 <= seconds <= _LONGEST_WAIT:
        raise BadRequest("invalid_argument: timeout must be between 1 and 60 seconds")
    return seconds


def _is_in(machine: Machine, wanted: set[str]) -> bool:
    return machine.state in wanted or ("settled" in wanted and machine.state in SETTLED_STATES)


def _signal(name: Any) -> signal.Signals | None:
    if not name:
        return None
    try:
        text = str(name)  # flyctl's kill sends the number
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals[text]
    except (KeyError, ValueError) as problem:
        raise BadRequest(f'invalid_argument: unknown signal "{name}"') from problem


def _seconds(value: Any) -> float | None:
    """Return a duration; a bare number in a query or body is seconds here, as flyctl sends it, and zero is unset."""
    text = str(value or "")
    return (float(text) if text.replace(".", "", 1).isdigit() else seconds_of(text or "0s", 0.0)) or None
