"""The sandbox put together: every emulated API on its port, the machines' driver, Postgres, and the first world.

Everything is kept below one home folder: `state.json`, `journal.jsonl`, `ports.json`, `postgres/`, `cloud/`. Stopped
and started again it has the same addresses and tokens, and what ran before runs again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import aiohttp
from aiohttp import web

from sandbox import captionacc
from sandbox.better_stack.service import BetterStack
from sandbox.cloud.service import Cloud
from sandbox.core.clock import Clock
from sandbox.core.journal import Journal
from sandbox.core.service import Core, Service
from sandbox.core.store import Store, write_private_json
from sandbox.fly import Fly, FlyOptions
from sandbox.github.service import GitHub
from sandbox.images import Images, process_image_reference
from sandbox.machines.driver import Driver
from sandbox.machines.emulated import EmulatedDriver
from sandbox.machines.process import ProcessDriver
from sandbox.postgres import PostgresServer
from sandbox.registry import RegistryServer
from toolchain.base_image import ensure_base

DriverName = Literal["emulated", "process", "container"]

# What the sandbox itself keeps in its home; other things (a demo's stack) may live there too.
OWN_FILES = ("state.json", "journal.jsonl", "ports.json", "postgres", "cloud", "machines", "registry")
_HEALTHY_SECONDS = 90.0


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


class _Status(Service):
    """The sandbox's own port: what `python -m sandbox status` asks."""

    name = "sandbox"

    def __init__(self, core: Core, world: World) -> None:
        super().__init__(core)
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Return the one route."""
        return [web.get("/_sandbox/status", self._status)]

    async def _status(self, _request: web.Request) -> web.Response:
        return web.json_response(await self._world.status())


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
        home, clock = self.options.home, self.options.clock or Clock()
        known = state.exists()
        self.core = Core(clock=clock, journal=Journal(clock, home / "journal.jsonl"), store=Store(state))
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
        self.cloud = Cloud(self.core, home / "cloud")
        # Last: it claims addresses of this machine, which a state that cannot be read must not leave claimed.
        self.fly = Fly(self.core, self.driver, self.options.fly or FlyOptions(org=captionacc.ORGANISATION))
        self._status = _Status(self.core, self)

    async def start(self) -> None:
        """Start everything and return when the orchestrator is healthy.

        Raises:
            WorldError: a port of the last time is taken, or the orchestrator does not become healthy.
        """
        ports = self._ports()
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
        runs = [
            {"id": run.id, "workflow": flow.file, "status": run.status, "conclusion": run.conclusion}
            for repository in self.github.state.repositories.values()
            for run in reversed(repository.runs)
            for flow in repository.workflows
            if flow.id == run.workflow_id
        ]
        repositories = self.github.state.repositories.values()
        monitors = self.better_stack.state.monitors.values()
        return {
            "fly": {"apps": [self._app_status(name) for name in self.fly.state.apps]},
            "github": {"secrets": sorted(name for each in repositories for name in each.vault.secrets), "runs": runs},
            "betterstack": {
                "monitors": [
                    {
                        "url": each.attributes["url"],
                        "check_frequency": each.attributes["check_frequency"],
                        "status": each.status,
                    }
                    for each in monitors
                ]
            },
            "orchestrator": {"health": await self._health()},
            "journal": str(self.core.journal.path.resolve()) if self.core.journal.path else None,
        }

    def _app_status(self, name: str) -> dict[str, Any]:
        app = self.fly.state.apps[name]
        machines = [
            {
                "id": machine.id,
                "state": machine.state,
                "image": machine.config["image"],
                "checks": [{"name": check.name, "status": check.status} for check in machine.checks.values()],
            }
            for machine in app.live_machines
        ]
        names = [{"name": secret.name, "digest": secret.digest} for secret in app.secrets.values()]
        return {"name": name, "machines": machines, "ips": [each.ip for each in app.addresses], "secrets": names}

    async def _health(self) -> Any:
        url = f"{self.fly.edge.url_of(captionacc.ORCHESTRATOR)}/health"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(url) as answer,
            ):
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def _wait_healthy(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _HEALTHY_SECONDS
        app = self.fly.state.apps.get(captionacc.ORCHESTRATOR)
        wanted = [machine for machine in app.live_machines if machine.should_run] if app else []
        while wanted and not (all(captionacc.healthy(machine) for machine in wanted) and await self._health()):
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

    def _ports(self) -> dict[str, int]:
        path = self.options.home / "ports.json"
        kept: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return kept

    def _save_ports(self) -> None:
        ports = {name: service.port for name, service in self._services().items()}
        ports |= {
            "fly": self.fly.machines_api.port,
            "fly_api": self.fly.api.port,
            "gateway": self.fly.edge.gateway_port,
            "postgres": self.postgres.port if self.postgres else None,
            "registry": self.registry.port if self.registry else None,
        }
        write_private_json(self.options.home / "ports.json", {name: port for name, port in ports.items() if port})


def end_leftovers(home: Path) -> None:
    """End what a killed sandbox left running; its machines died with it."""
    PostgresServer(home / "postgres").end_leftover()
    RegistryServer(home.resolve() / "registry").end_leftover()


def forget(home: Path) -> None:
    """Delete what a sandbox that does not run has kept in `home`."""
    end_leftovers(home)
    PostgresServer(home / "postgres").remove()
    for name in OWN_FILES:
        path = home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
