"""An emulated GitHub on a manual clock, and a client for it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from nacl.public import PublicKey, SealedBox

from sandbox.core.clock import Clock
from sandbox.core.core import Core
from sandbox.github.service import GitHub
from sandbox.github.state import GitHubState

TOKEN = "token-of-this-test"
REPO = "/repos/captionacc/captionacc"
RUNS = f"{REPO}/actions/workflows/deploy.yml/runs"
DISPATCH = f"{REPO}/actions/workflows/deploy.yml/dispatches"


def _fill(state: GitHubState) -> None:
    repository = state.add_repository("captionacc", "captionacc")
    state.add_workflow(repository, "deploy.yml", "Deploy", inputs={"nonce": False}, title_input="nonce")


class Caller:
    """A service on a manual clock with a client session."""

    def __init__(self, service: GitHub, session: aiohttp.ClientSession) -> None:
        self.service = service
        self.session = session

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Make one call and return status and body."""
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        async with self.session.request(method, self.service.url + path, json=body, headers=given) as answer:
            text = await answer.text()
            return answer.status, (await answer.json() if text else None)

    async def seal(self, value: str, place: str = f"{REPO}/actions/secrets") -> dict[str, str]:
        """Return the body of a PUT for a secret."""
        _, key = await self.call("GET", f"{place}/public-key")
        sealed = SealedBox(PublicKey(base64.b64decode(key["key"]))).encrypt(value.encode())
        return {"encrypted_value": base64.b64encode(sealed).decode(), "key_id": key["key_id"]}


@asynccontextmanager
async def github() -> AsyncIterator[Caller]:
    service = GitHub(Core.in_memory(Clock(manual=True)), TOKEN, _fill)
    await service.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Caller(service, session)
    finally:
        await service.stop()


def run(test: Callable[[Caller], Awaitable[None]]) -> None:
    """Run `test` against a fresh service."""

    async def whole() -> None:
        async with github() as caller:
            await test(caller)

    asyncio.run(whole())


async def until(github: Caller, run_id: int, status: str) -> dict[str, Any]:
    """Let the clock go on until a run has reached a status."""
    for _ in range(100):
        _, found = await github.call("GET", f"{REPO}/actions/runs/{run_id}")
        if found["status"] == status:
            answer: dict[str, Any] = found
            return answer
        await github.service.clock.advance_in_steps(0.2)
    raise AssertionError(f"the run stayed {found['status']}")
