"""The sandbox put together: every emulated API on its port, the machines' driver, Postgres, and the first world.

Everything is kept below one home folder: `state.json`, `journal.jsonl`, `ports.json`, `postgres/`, `cloud/`. Stopped
and started again it has the same addresses and tokens, and what ran before runs again.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox import captionacc, home
from sandbox.better_stack.service import BetterStack
from sandbox.cloud.service import Cloud
from sandbox.core.clock import Clock
from sandbox.core.core import Core
from sandbox.core.journal import Journal
from sandbox.core.service import Service
from sandbox.core.store import Store
from sandbox.fly import Fly, FlyOptions
from sandbox.github.service import GitHub
from sandbox.images import Images, process_image_reference
from sandbox.machines.driver import Driver
from sandbox.machines.emulated import EmulatedDriver
from sandbox.machines.process import ProcessDriver
from sandbox.names import DriverName
from sandbox.postgres import PostgresServer
from sandbox.registry import RegistryServer
from sandbox.status import Status
from toolchain.base_image import ensure_base

_HEALTHY_SECONDS = 300.0


class WorldError(RuntimeError):
    """The sandbox cannot be assembled or started; the text is one sentence."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a sandbox is to be.

    Attributes:
        home: where everything is kept.
        driver: what runs machines.
        clock: the time; real time when not given.
        fly: how strict Fly is.
        postgres: whether a Postgres runs; by default where machines run real programs.
        filled: whether the world begins with the orchestrator and its repository.
        poll_scale: seconds between a monitor's polls per second of its `check_frequency`.
    """

    home: Path
    driver: DriverName = "process"
    clock: Clock | None = None
    fly: FlyOptions | None = None
    postgres: bool | None = None
    filled: bool = True
    poll_scale: float = 0.05


class World:
    """One whole sandbox on the running event loop.

    Attributes:
        core: clock, journal, store, faults.
        fly, github, better_stack, cloud: the emulated APIs.
        images: what can be run.
        postgres: the database server, or None.
        registry: where images are pushed, or None where machines are no containers.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        options.home.mkdir(parents=True, exist_ok=True)
        self.images = Images()
        try:
            self._assemble(options.home / "state.json")
        except (KeyError, TypeError, ValueError) as error:
            raise WorldError(
                f"could not read {options.home / 'state.json'}: another version of the sandbox has written it, or "
                'somebody else. Run "python -m sandbox reset".'
            ) from error
        wanted = options.driver != "emulated" if options.postgres is None else options.postgres
        self.postgres = PostgresServer(options.home / "postgres") if wanted else None
        in_containers = options.driver == "container"
        self.registry = RegistryServer(options.home.resolve() / "registry") if in_containers else None
        self._base_image = ""
        self._started = False

    def _assemble(self, state: Path) -> None:
        folder, clock = self.options.home, self.options.clock or Clock()
        known = state.exists()
        self.core = Core(clock=clock, journal=Journal(clock, folder / "journal.jsonl"), store=Store(state))
        self.core.reset_world = self.reset
        # Written as false first: a first start that is interrupted fills the world when it is repeated.
        kept = self.core.store.section("filled", lambda: self._filled)
        self._filled = known if kept is None else bool(kept)
        tokens = self.core.store.section("tokens", lambda: self._tokens)
        self._tokens: dict[str, str] = tokens or {
            name: secrets.token_urlsafe(24) for name in ("GITHUB_TOKEN", "BETTERSTACK_API_TOKEN")
        }
        self.driver: Driver = self._make_driver()
        fill = captionacc.fill_github if self.options.filled else lambda _: None
        self.github = GitHub(self.core, self._tokens["GITHUB_TOKEN"], fill)
        scale = self.options.poll_scale
        self.better_stack = BetterStack(self.core, self._tokens["BETTERSTACK_API_TOKEN"], scale=scale)
        self.cloud = Cloud(self.core, folder / "cloud")
        # Last: it claims addresses of this machine, which a state that cannot be read must not leave claimed.
        self.fly = Fly(self.core, self.driver, self.options.fly or FlyOptions(org=captionacc.ORGANISATION))
        self._status = Status(self.core, self.fly, self.github, self.better_stack)

    async def start(self) -> None:
        """Start everything and return when the orchestrator is healthy.

        Raises:
            WorldError: a port of the last time is taken, or the orchestrator does not become healthy.
        """
        ports = home.ports(self.options.home)
        if self.postgres is not None:
            await asyncio.to_thread(self.postgres.start)
        if self.registry is not None:
            await asyncio.to_thread(self.registry.start, ports.get("registry", 0))
            self._base_image = await asyncio.to_thread(ensure_base)
        try:
            for name, service in self._services().items():
                await service.start(ports.get(name, 0))
            await self.fly.start(ports.get("fly", 0), ports.get("fly_api", 0), ports.get("gateway", 0))
        except OSError as error:
            raise WorldError(
                f"could not start the sandbox on the ports of the last time: {error.strerror}. "
                'End what has taken them, or run "python -m sandbox reset".'
            ) from error
        self.github.runner.on_run = captionacc.deploying(self.fly, self.core.clock, self._machine_environment())
        self._started = True
        self._save_ports()
        if not self._filled and self.options.filled:
            await captionacc.fill_fly(self.fly, self._machine_environment())
        self._filled = True
        for app in (captionacc.SERVER, captionacc.ORCHESTRATOR):
            self.fly.edge.port_of(app)  # others are told these addresses: they must outlive even a killed sandbox
        self.core.store.save()
        if self.options.filled and self.options.driver != "emulated":
            await self._wait_healthy()

    async def stop(self) -> None:
        """End everything that was started, and keep the state."""
        for service in reversed(self._services().values()):
            await service.stop()
        await self.fly.stop()
        if self._started:
            self._save_ports()
        if self.postgres is not None:
            await asyncio.to_thread(self.postgres.stop)
        if self.registry is not None:
            await asyncio.to_thread(self.registry.stop)

    async def reset(self) -> None:
        """Go back to the first world; addresses, tokens and the database server's password stay."""
        self.core.journal.clear()
        for faults in self.core.faults.values():
            faults.clear()
        await self.fly.reset()
        await self.github.reset()
        await self.better_stack.reset()
        await self.cloud.reset()
        if self.postgres is not None:
            await asyncio.to_thread(self.postgres.wipe)
        if self.options.filled:
            await captionacc.fill_fly(self.fly, self._machine_environment())
        self.core.store.save()

    def env(self) -> dict[str, str]:
        """Return the variables that point other tools at this sandbox: addresses, tokens, and SANDBOX_… facts."""
        fly_api = self.fly.api.url
        found = {
            "FLY_FLAPS_BASE_URL": self.fly.machines_api.url,
            "FLY_API_BASE_URL": fly_api,
            "FLY_UIEX_BASE_URL": fly_api,
            "FLY_API_TOKEN": self.fly.token,
            "FLY_SEND_METRICS": "0",
            "FLY_SYNTHETICS_AGENT": "0",
            "FLY_NO_UPDATE_CHECK": "1",
            "FLY_NO_INCIDENTS_CHECK": "1",
            "GITHUB_API_URL": self.github.url,
            "GITHUB_BASE_URL": f"{self.github.url}/",
            "BETTERSTACK_BASE_URL": self.better_stack.url,
            **self._tokens,
            "SANDBOX_HOME": str(self.options.home.resolve()),
            "SANDBOX_DRIVER": self.options.driver,
            "SANDBOX_STATUS_URL": f"{self._status.url}/_sandbox/status",
            "SANDBOX_SERVER_URL": self.fly.edge.url_of(captionacc.SERVER),
            "SANDBOX_SERVER_IMAGE": process_image_reference("registry.fly.io", captionacc.SERVER),
            "SANDBOX_ORCHESTRATOR_URL": self.fly.edge.url_of(captionacc.ORCHESTRATOR),
            "SANDBOX_CLOUD_API_URL": self.cloud.api_url,
            "SANDBOX_CLOUD_API_KEY": self.cloud.workspace.key,
        }
        if self.postgres is not None:
            found["SANDBOX_DATABASE_URL"] = self.postgres.url()
            found["SANDBOX_DATABASE_CA_FILE"] = str(self.postgres.ca_file.resolve())
        if self.registry is not None:
            found["SANDBOX_REGISTRY"] = self.registry.address
            found["SANDBOX_BASE_IMAGE"] = self._base_image
        return found

    async def status(self) -> dict[str, Any]:
        """Return what there is now, without any value of a secret."""
        return await self._status.report()

    async def _wait_healthy(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HEALTHY_SECONDS
        app = self.fly.state.apps.get(captionacc.ORCHESTRATOR)
        wanted = [machine for machine in app.live_machines if machine.should_run] if app else []
        while wanted and not (
            all(captionacc.healthy(machine) for machine in wanted) and await self._status.orchestrator_health()
        ):
            if loop.time() > deadline:
                raise WorldError(
                    "could not start the sandbox: the sample orchestrator did not become healthy in "
                    f"{_HEALTHY_SECONDS:.0f} s. Its log: {' / '.join(self._log_tail())}"
                )
            await asyncio.sleep(0.2)

    def _log_tail(self) -> list[str]:
        return self.fly.logs.text(captionacc.ORCHESTRATOR).splitlines()[-5:]

    def _machine_environment(self) -> dict[str, str]:
        # By this address Prefect's client knows Cloud, whose websockets authenticate differently.
        return {"PREFECT_CLOUD_API_URL": f"{self.cloud.url}/api"}

    def _make_driver(self) -> Driver:
        if self.options.driver == "emulated":
            return EmulatedDriver(self.core.clock, self.images)
        folder = self.options.home / "machines"
        if self.options.driver == "process":
            return ProcessDriver(self.images, folder)
        # Only here: most sandboxes have no engine to talk to, and the client takes its time to import.
        from docker.errors import DockerException  # noqa: PLC0415

        from sandbox.machines.container import ContainerDriver  # noqa: PLC0415

        try:
            return ContainerDriver(self.images, folder)
        except DockerException as error:
            raise WorldError(
                "could not run machines as containers: no Docker engine answers. Start one, or use --driver process."
            ) from error

    def _services(self) -> dict[str, Service]:
        return {
            "status": self._status,
            "github": self.github,
            "betterstack": self.better_stack,
            "cloud": self.cloud,
        }

    def _save_ports(self) -> None:
        ports = {name: service.port for name, service in self._services().items()}
        ports |= {
            "fly": self.fly.machines_api.port,
            "fly_api": self.fly.api.port,
            "gateway": self.fly.edge.gateway_port,
            "postgres": self.postgres.port if self.postgres else None,
            "registry": self.registry.port if self.registry else None,
        }
        home.save_ports(self.options.home, {name: port for name, port in ports.items() if port})
