"""One emulated Fly per test: on a manual clock with scripted machines, or on real time with real processes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sandbox.core.clock import Clock
from sandbox.core.core import Core
from sandbox.core.journal import Journal
from sandbox.core.store import Store
from sandbox.fly import Fly, FlyOptions
from sandbox.images import Command, Images
from sandbox.machines.emulated import EmulatedDriver
from sandbox.machines.process import ProcessDriver
from tests.support.waiting import PATIENCE

IMAGE = "registry.example.com/web@sha256:" + "a" * 64
WEB_PROGRAM = Path(__file__).with_name("web_program.py")


@dataclass
class Reply:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]


class World:
    """A running emulated Fly and a client for it."""

    def __init__(self, fly: Fly, session: aiohttp.ClientSession) -> None:
        self.fly = fly
        self.clock = fly.core.clock
        self._session = session

    @property
    def emulated(self) -> EmulatedDriver:
        """Return the scripted driver."""
        assert isinstance(self.fly.driver, EmulatedDriver)
        return self.fly.driver

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        authorization: str | None = None,
        nonce: str | None = None,
        api: bool = False,
    ) -> Reply:
        """Make one call; `path` is what follows /v1, or the whole path on the API port."""
        headers = {"Authorization": self.authorization if authorization is None else authorization}
        if not headers["Authorization"]:
            del headers["Authorization"]
        if nonce:
            headers["fly-machine-lease-nonce"] = nonce
        url = self.fly.api.url + path if api else f"{self.fly.machines_api.url}/v1{path}"
        async with self._session.request(method, url, json=body, headers=headers) as reply:
            text = await reply.text()
            return Reply(reply.status, json.loads(text) if text else None, dict(reply.headers))

    @property
    def authorization(self) -> str:
        """Return the header of the main token."""
        return f"FlyV1 {self.fly.token}"

    async def advance(self, seconds: float) -> None:
        """Let time pass, and the calls that wait for it go on."""
        await self.clock.advance_in_steps(seconds)
        for _ in range(20):
            await asyncio.sleep(0)

    async def app(self, name: str = "web", *addresses: str) -> None:
        """Make an app with addresses."""
        assert (await self.call("POST", "/apps", {"name": name, "org_slug": "captionacc"})).status == 201
        for kind in addresses:
            assert (await self.call("POST", f"/apps/{name}/ip_assignments", {"type": kind})).status == 200

    async def machine(self, app: str = "web", config: dict[str, Any] | None = None, **request: Any) -> Any:
        """Make a machine and return it as the create call did."""
        body = {"region": "ewr", "config": {"image": IMAGE, **(config or {})}, **request}
        reply = await self.call("POST", f"/apps/{app}/machines", body)
        assert reply.status == 200, reply.body
        return reply.body

    async def show(self, machine: Any, app: str = "web") -> Any:
        """Return a machine as it is now."""
        return (await self.call("GET", f"/apps/{app}/machines/{machine['id']}")).body

    async def until(self, true: Callable[[], Awaitable[bool]]) -> None:
        """Poll on real time until something holds."""
        async with asyncio.timeout(PATIENCE):
            while not await true():  # noqa: ASYNC110 - what is polled is on the far side of an API
                await asyncio.sleep(0.02)


WorldFactory = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def fly_world(tmp_path: Path) -> WorldFactory:
    """Return a context manager that runs an emulated Fly: `fly_world(driver=…, home=…, **options)`."""

    @asynccontextmanager
    async def world(driver: str = "emulated", *, keep: bool = False, **options: Any) -> AsyncIterator[World]:
        clock = Clock(manual=driver == "emulated", start=1_700_000_000.0 if driver == "emulated" else None)
        images = Images()
        images.register("web*", lambda arguments: Command((sys.executable, str(WEB_PROGRAM), *arguments)))
        store = Store(tmp_path / "state.json" if keep else None)
        core = Core(clock=clock, journal=Journal(clock, tmp_path / "journal.jsonl"), store=store)
        runs = EmulatedDriver(clock, images) if driver == "emulated" else ProcessDriver(images, tmp_path / "machines")
        fly = Fly(core, runs, FlyOptions(**options))
        await fly.start()
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
                yield World(fly, session)
        finally:
            await fly.stop()

    return world
