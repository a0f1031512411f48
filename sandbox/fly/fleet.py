"""All machines of the emulated Fly: made, found, waited for, and ended when the sandbox ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sandbox.fly.errors import BadRequest, Unprocessable
from sandbox.fly.lifecycle import Life
from sandbox.fly.models import App, Machine, Version, new_ulid
from sandbox.fly.network import LoopbackBlock
from sandbox.fly.normalise import normalise
from sandbox.fly.record import Surroundings
from sandbox.fly.regions import NEAREST, REGIONS
from sandbox.fly.state import FlyState
from sandbox.machines.driver import ImageNotFoundError

_DESTROYED_KEPT = 20
_VERSIONS_KEPT = 20


class Fleet:
    """The lives of all machines.

    Args:
        state: what is remembered.
        around: what a life needs.
        block: where machine addresses come from.
    """

    def __init__(self, state: FlyState, around: Surroundings, block: LoopbackBlock) -> None:
        self.state = state
        self.around = around
        self.block = block
        self._lives: dict[str, Life] = {}

    def life(self, machine: Machine) -> Life:
        """Return a machine's life."""
        return self._lives.setdefault(machine.id, Life(machine, self.around))

    async def create(self, app: App, request: dict[str, Any]) -> Machine:
        """Make a machine from the body of a create call, and launch it unless it says otherwise.

        Raises:
            BadRequest: the config is wrong, the image is not in the registry, the secrets version is not there.
            Unprocessable: the name is taken, the region unknown, the organization's limit reached.
        """
        config = normalise(request.get("config") or {})
        region = request.get("region") or NEAREST
        if region not in REGIONS:
            raise Unprocessable(f'region "{region}" not found')
        digest = await self._resolve(config["image"])
        # Nothing is awaited from here on, or two creates at once could both take the name.
        name = request.get("name")
        if name and any(machine.name == name for machine in app.live_machines):
            raise Unprocessable(f'unique machine name violation, machine with name "{name}" already exists')
        self._check_limit(app)
        secrets = self.state.secrets_for_machine(app, request.get("min_secrets_version"))
        now = self.state.clock.time()
        machine_id = self.state.new_machine_id()
        machine = Machine(
            id=machine_id,
            app=app.name,
            name=name or f"sandbox-machine-{machine_id[:4]}",
            region=region,
            config=config,
            private_ip=self._address(),
            created_at=now,
            updated_at=now,
            image_digest=digest,
        )
        if not request.get("skip_secrets"):
            machine.secrets, machine.secrets_version = dict(secrets.values), secrets.version
        machine.versions.append(Version(machine.instance_id, config))
        self._forget_old(app)
        app.machines[machine.id] = machine
        life = self.life(machine)
        life.prepare() if request.get("skip_launch") else life.launch()
        return machine

    async def update(
        self, app: App, machine: Machine, request: dict[str, Any], guard: Callable[[], None] = lambda: None
    ) -> None:
        """Replace a machine's config by that of an update call; name and region are silently kept.

        `guard` raises when the machine may not be changed; it is asked when nothing can come in between any more.

        Raises:
            BadRequest: as in create.
        """
        config = normalise(request.get("config") or {})
        digest = await self._resolve(config["image"])
        guard()
        secrets = self.state.secrets_for_machine(app, request.get("min_secrets_version"))

        def apply() -> None:
            version = Version(new_ulid(), config)
            machine.instance_id = version.instance_id
            machine.versions.insert(0, version)
            del machine.versions[_VERSIONS_KEPT:]
            machine.image_digest = digest
            if not request.get("skip_secrets"):
                machine.secrets, machine.secrets_version = dict(secrets.values), secrets.version

        self.life(machine).replace(config, apply, launch=not request.get("skip_launch"))

    async def destroy_all(self, app: App) -> None:
        """Destroy an app's machines; their programs have ended when this returns, however the clock stands."""
        await asyncio.gather(*(self.life(machine).end() for machine in app.live_machines))
        for machine in app.machines.values():
            self._lives.pop(machine.id, None)

    def boot_again(self) -> None:
        """Start, after a restart of the sandbox, what ran before it."""
        for app in self.state.apps.values():
            for machine in app.live_machines:
                if not machine.private_ip.startswith(f"{self.block.prefix}."):
                    machine.private_ip = self._address()  # another sandbox has taken our block meanwhile
                if machine.should_run:
                    self.life(machine).start()
                elif machine.state not in {"stopped", "failed", "suspended"}:
                    machine.state = "stopped"

    async def shut_down(self) -> None:
        """End all programs."""
        await asyncio.gather(*(life.shut_down() for life in self._lives.values()))
        self._lives.clear()

    def _forget_old(self, app: App) -> None:
        """Keep only the newest destroyed machines: one-off machines would pile up for ever."""
        gone = [machine for machine in app.machines.values() if machine.destroyed]
        for machine in gone[:-_DESTROYED_KEPT]:
            del app.machines[machine.id]
            self._lives.pop(machine.id, None)

    async def _resolve(self, image: str) -> str:
        try:
            return await self.around.driver.resolve(image)
        except ImageNotFoundError as problem:
            raise BadRequest(
                f"failed to get manifest {image}: request failed: MANIFEST_UNKNOWN: manifest unknown"
            ) from problem

    def _check_limit(self, app: App) -> None:
        count = sum(len(other.live_machines) for other in self.state.apps.values() if other.org == app.org)
        if count >= self.state.options.machine_limit:
            raise Unprocessable(
                f"Your organization has reached its machine limit of {self.state.options.machine_limit}. "
                "Please contact billing@fly.io to request an increase."
            )

    def _address(self) -> str:
        live = [machine for app in self.state.apps.values() for machine in app.live_machines]
        return self.block.allocate({machine.private_ip for machine in live})
