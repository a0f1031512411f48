"""The whole emulated Fly, put together: what a sandbox starts, stops and lets tests look at."""

from __future__ import annotations

from typing import Any

from sandbox.core.core import Core
from sandbox.edge import Backend, Edge, Route
from sandbox.fly.api_service import ApiService
from sandbox.fly.calls import Calls
from sandbox.fly.checks import Checker
from sandbox.fly.fleet import Fleet
from sandbox.fly.limits import RateLimits
from sandbox.fly.logs import LogBuffer
from sandbox.fly.machines_service import MachinesService
from sandbox.fly.models import App, Machine
from sandbox.fly.network import LoopbackBlock
from sandbox.fly.record import Surroundings
from sandbox.fly.state import FlyOptions, FlyState
from sandbox.fly.trouble import Trouble
from sandbox.machines.driver import Driver

_PUBLIC_KINDS = frozenset({"v4", "v6", "shared_v4"})
_PRIVATE_KINDS = frozenset({"private_v6"})
_FLYCAST = ".flycast"


class Fly:
    """The emulated Fly.

    Attributes:
        state: apps and tokens, for assertions and for filling by hand.
        fleet: the machines' lives.
        edge: the apps' public ports.
        logs: what machines printed.
        machines_api: service of FLY_FLAPS_BASE_URL.
        trouble: Fly's known troubles, to be scripted.
        api: service of FLY_API_BASE_URL.
        token: the main token, of the organization in the options.

    Args:
        core: clock, journal, faults, store.
        driver: what runs machines.
        options: how strict to be.
    """

    def __init__(self, core: Core, driver: Driver, options: FlyOptions | None = None) -> None:
        self.core = core
        self.driver = driver
        self.options = options or FlyOptions()
        self.state = FlyState(core.clock, self.options)
        self.logs = LogBuffer(core.clock)
        saved = core.store.section("fly", self._dump)
        edge_ports = saved["edge_ports"] if saved else {}
        self.block = LoopbackBlock(saved["block"] if saved else None)
        delay, faults = self.options.resolve_delay, core.faults_of("edge")
        self.edge = Edge(core.clock, self.route, resolve_delay=delay, ports=edge_ports, faults=faults)
        self._checker = Checker(core.clock, driver, mirrored=lambda: self.options.mirrored_checks)
        around = Surroundings(
            clock=core.clock,
            driver=driver,
            checker=self._checker,
            logs=self.logs,
            boot_seconds=self.options.boot_seconds,
            changed=self._changed,
        )
        self.fleet = Fleet(self.state, around, self.block)
        self.trouble = Trouble(core.faults_of("fly"), self.state)
        limits = RateLimits(core.clock, exact=self.options.exact_rate_limits)
        self.calls = Calls(core, self.state, self.fleet, self.edge, self.logs, limits)
        self.machines_api = MachinesService(self.calls, self.trouble)
        self.api = ApiService(self.calls)
        if saved:
            self.state.load(saved["state"])
        else:
            self.state.add_token(self.options.org)

    @property
    def token(self) -> str:
        """Return the main token's value."""
        return self.state.tokens[0].value

    def add_app(self, name: str, org: str | None = None) -> App:
        """Make an app without the API, of the main organization unless another is named."""
        return self.state.add_app(name, org or self.options.org)

    def set_secrets(self, app: str, values: dict[str, str | None]) -> int:
        """Set secrets without the API and return the new version."""
        return self.state.set_secrets(self.state.apps[app], values)

    async def create_machine(self, app: str, request: dict[str, Any]) -> Machine:
        """Make a machine without the API, from the body of a create call."""
        return await self.fleet.create(self.state.apps[app], request)

    async def update_machine(self, machine: Machine, *, config: dict[str, Any] | None = None) -> None:
        """Update a machine with the app's current secrets, as a deploy does; the same config unless one is given."""
        app = self.state.apps[machine.app]
        request = {"config": config or machine.config, "min_secrets_version": app.secrets_version}
        await self.fleet.update(app, machine, request)

    async def start(self, machines_port: int = 0, api_port: int = 0, gateway_port: int = 0) -> None:
        """Open all ports, and start the machines that ran when the sandbox was last stopped."""
        await self.machines_api.start(machines_port)
        await self.api.start(api_port)
        await self.edge.start(gateway_port)
        self.fleet.boot_again()
        self.calls.deletions.resume()
        for app in self.state.apps.values():
            for name in (app.name, *app.certificates):
                self.edge.refresh(name)

    async def stop(self) -> None:
        """End all programs, close all ports, save."""
        await self.machines_api.stop()
        await self.api.stop()
        await self.edge.stop()
        await self.calls.deletions.stop()
        await self.fleet.shut_down()
        await self._checker.close()
        self.core.store.save()
        await self.driver.close()
        self.block.release()

    async def reset(self) -> None:
        """Remove all apps and machines; tokens stay."""
        await self.calls.deletions.stop()
        for app in list(self.state.apps.values()):
            await self.fleet.destroy_all(app)
        names = list(self.state.apps)
        self.state.apps.clear()
        self.state.dns.clear()
        self.logs.clear()
        self.calls.limits.clear()
        for name in names:
            self.edge.refresh(name)

    def route(self, name: str) -> Route:
        """Return what the edge may know of an app, of its name in the private network, or of a name of one's own."""
        private = name.endswith(_FLYCAST)
        kinds = _PRIVATE_KINDS if private else _PUBLIC_KINDS
        app = self.state.apps.get(name.removesuffix(_FLYCAST)) or self.state.app_of(name)
        if app is None or app.deleting or not any(address.kind in kinds for address in app.addresses):
            return Route(resolves=False)
        serving = [machine for machine in app.live_machines if machine.services]
        backends = [_backend(machine) for machine in serving if machine.state == "started" and not machine.cordoned]
        ports = [port for machine in serving for service in machine.services for port in service.get("ports") or []]
        return Route(
            resolves=bool(serving),
            backends=tuple(backends),
            force_https=any(port.get("force_https") for port in ports),
            private=private,
        )

    def _changed(self, machine: Machine) -> None:
        if machine.app in self.state.apps:
            self.edge.refresh(machine.app)
        self.core.store.save()

    def _dump(self) -> dict[str, Any]:
        return {"state": self.state.dump(), "block": self.block.prefix, "edge_ports": self.edge.ports}


def _backend(machine: Machine) -> Backend:
    service = machine.services[0]
    expected = len([check for each in machine.services for check in each.get("checks") or []])
    results = [check for check in machine.checks.values() if check.of_service]
    healthy = len(results) == expected and all(check.status == "passing" for check in results)
    return Backend(
        machine.id, machine.private_ip, int(service["internal_port"]), healthy and machine.host_status == "ok"
    )
