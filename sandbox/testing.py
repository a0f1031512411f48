"""A whole sandbox for a test: in this process, on an event loop in a thread of its own.

with running_sandbox(home=tmp_path) as sb:
environment = sb.env()
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from sandbox.better_stack.models import BetterStackState
from sandbox.cloud.service import Cloud
from sandbox.core.clock import Clock
from sandbox.core.faults import Faults
from sandbox.fly import Fly, FlyOptions
from sandbox.github.models import Run
from sandbox.github.state import GitHubState
from sandbox.images import Images
from sandbox.machines.emulated import EmulatedDriver
from sandbox.names import DriverName
from sandbox.postgres import PostgresServer
from sandbox.world import Options, World

T = TypeVar("T")

_START_SECONDS = 300.0
_STOP_SECONDS = 300.0
SERVICES = ("fly", "github", "betterstack", "cloud", "edge")


class Sandbox:
    """A running sandbox as a test sees it; every method may be called from the test's thread.

    Attributes:
        world: everything, for what is not offered here; touch it through `run` where it awaits.
        clock: the sandbox's time.
    """

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.clock: Clock = world.core.clock
        self._loop = loop

    @property
    def fly(self) -> Fly:
        """Fly; its apps and tokens are in `.state`."""
        return self.world.fly

    @property
    def github(self) -> GitHubState:
        """GitHub's repositories, secrets by value, runs, and how coming runs behave (`script`)."""
        return self.world.github.state

    @property
    def better_stack(self) -> BetterStackState:
        """Better Stack's monitors."""
        return self.world.better_stack.state

    @property
    def cloud(self) -> Cloud:
        """The Cloud-like workspace."""
        return self.world.cloud

    @property
    def images(self) -> Images:
        """Which images can be run, and as what."""
        return self.world.images

    @property
    def emulated(self) -> EmulatedDriver:
        """The scripts of emulated machines; only with driver="emulated"."""
        return cast("EmulatedDriver", self.world.driver)

    @property
    def postgres(self) -> PostgresServer:
        """The database server; only where one was asked for."""
        if self.world.postgres is None:
            raise LookupError("this sandbox has no Postgres: ask for one with postgres=True")
        return self.world.postgres

    def env(self) -> dict[str, str]:
        """Return all base URLs and tokens, and the SANDBOX_… facts."""
        return self.world.env()

    def edge_url(self, app: str) -> str:
        """Return the public address of an app, whether or not it exists yet."""
        return self.world.fly.edge.url_of(app)

    def faults(self, service: str) -> Faults:
        """Return the scripted trouble of one service: fly, github, betterstack, cloud or edge."""
        if service not in SERVICES:
            raise LookupError(f'no service "{service}": there are {", ".join(SERVICES)}')
        return self.world.core.faults_of(service)

    def journal(self, service: str | None = None) -> list[dict[str, Any]]:
        """Return the calls answered so far, of one service when given, in their order."""
        return [dict(entry) for entry in self.world.core.journal.entries(service)]

    def status(self) -> dict[str, Any]:
        """Return what `python -m sandbox status --json` prints."""
        return self.run(self.world.status())

    def approve(self, run: Run | int, *, approved: bool = True) -> bool:
        """Approve or reject a workflow run that waits; False when it does not."""
        return self.world.github.runner.decide(run if isinstance(run, int) else run.id, approved=approved)

    def advance(self, seconds: float) -> None:
        """Push the clock forward deadline by deadline, so that what sleeps in a loop runs as often as it should."""
        self.run(self.clock.advance_in_steps(seconds))

    def reset(self) -> None:
        """Go back to the first world."""
        self.run(self.world.reset())

    def run(self, work: Coroutine[Any, Any, T], seconds: float = 600.0) -> T:
        """Run a coroutine on the sandbox's event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)


@contextmanager
def running_sandbox(
    home: Path,
    driver: DriverName = "emulated",
    *,
    clock: Clock | None = None,
    fly: FlyOptions | None = None,
    postgres: bool | None = None,
    filled: bool = True,
    poll_scale: float = 0.05,
) -> Iterator[Sandbox]:
    """Run a sandbox below `home` for as long as the block lasts.

    Args:
        home: where it keeps everything; started again on the same home it goes on from there.
        driver: `emulated` scripts machines, `process` and `container` run the real programs.
        clock: for example `Clock(manual=True)`; real time when not given.
        fly: how strict Fly is.
        postgres: whether a database server runs; by default unless machines are emulated.
        filled: whether the world begins with the orchestrator and its repository.
        poll_scale: seconds between a monitor's polls per second of its `check_frequency`.
    """
    options = Options(
        home=home, driver=driver, clock=clock, fly=fly, postgres=postgres, filled=filled, poll_scale=poll_scale
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sandbox", daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, T], seconds: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(seconds)

    async def assemble() -> World:
        return World(options)

    try:
        world = run(assemble(), _STOP_SECONDS)
        try:
            run(world.start(), _START_SECONDS)
            yield Sandbox(world, loop)
        finally:
            run(world.stop(), _STOP_SECONDS)
            if world.postgres is not None:
                # The next block on this home may want the data; after the last one nobody does.
                atexit.register(world.postgres.remove)
    finally:
        run(_drain(), _STOP_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_STOP_SECONDS)
        loop.close()


async def _drain() -> None:
    """Let what was cancelled end, so that closing the loop loses nothing."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()
