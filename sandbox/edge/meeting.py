"""A call through the edge that meets scripted trouble, as a call of an emulated API does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from sandbox.core.clock import Clock
from sandbox.core.faults import Fault, Faults, cut
from sandbox.edge.head import Head
from sandbox.edge.passing import Target, answer

Forward = Callable[[Target], Awaitable[int]]
"""Passes the call on, gives the answer to a target and returns its status."""
Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Kept:
    """An answer that the client does not get yet."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        """Take bytes."""
        self.data += data

    async def drain(self) -> None:
        """Return: there is always room."""


class Meeting:
    """The scripted trouble of one edge.

    Args:
        faults: what is scripted.
        clock: for what takes its time.
    """

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock

    async def through(self, call: tuple[str, str], request: Head, client: Client, forward: Forward) -> int:
        """Pass a call (method, path) on, through the fault that is meant for it, if any.

        Returns the status that the client was answered, 0 when its connection was cut.
        """
        fault = self._faults.take(*call)
        if fault is None:
            return await forward(client[1])
        fault.caller = client[1].get_extra_info("peername")[1]
        if fault.delay:
            await self._clock.sleep(fault.delay)
        if fault.reset:
            return _cut(client)
        if fault.status is not None:
            # Closed with bytes that nobody read, the connection would be reset before the client reads the answer.
            await client[0].readexactly(int(request.get("content-length") or 0))
            return await _scripted_answer(fault, fault.status, client)
        kept = _Kept()
        status = await forward(kept)
        await self._faults.hold(fault, self._clock)
        if fault.drop_answer:
            return _cut(client)
        client[1].write(kept.data)
        await client[1].drain()
        return status


async def _scripted_answer(fault: Fault, status: int, client: Client) -> int:
    if fault.body is None or isinstance(fault.body, str):
        return await answer(client[1], f"{status} Scripted", fault.body or "", headers=fault.headers)
    headers = {"Content-Type": "application/json", **fault.headers}
    return await answer(client[1], f"{status} Scripted", json.dumps(fault.body), headers=headers)


def _cut(client: Client) -> int:
    cut(client[1].transport)
    return 0
