"""Control calls that every emulated API answers under `/_sandbox/`: reset, advance, faults, journal.

They need no token: whoever reaches a loopback port of this machine may steer the sandbox.
"""

from __future__ import annotations

import json
from typing import Protocol

from aiohttp import web

from sandbox.core.core import Core
from sandbox.core.faults import BadFaultError, Faults


class Steered(Protocol):
    """A service as its control calls see it."""

    core: Core
    faults: Faults

    async def reset(self) -> None:
        """Go back to the first state."""


def control_routes(service: Steered) -> list[web.RouteDef]:
    """Return the control routes of one service."""
    control = _Control(service)
    return [
        web.post("/_sandbox/reset", control.reset),
        web.post("/_sandbox/advance", control.advance),
        web.get("/_sandbox/faults", control.list_faults),
        web.post("/_sandbox/faults", control.add_fault),
        web.delete("/_sandbox/faults", control.clear_faults),
        web.get("/_sandbox/journal", control.journal),
    ]


class _Control:
    def __init__(self, service: Steered) -> None:
        self._service = service
        self._core = service.core

    async def reset(self, _request: web.Request) -> web.Response:
        """Put the whole sandbox (or, unassembled, this service) back to its first state."""
        if self._core.reset_world is not None:
            await self._core.reset_world()
        else:
            self._service.faults.clear()
            self._core.journal.clear()
            await self._service.reset()
        return web.json_response({"ok": True})

    async def advance(self, request: web.Request) -> web.Response:
        """Push the clock forward by `{"seconds": n}`."""
        try:
            seconds = float((await request.json())["seconds"])
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            return _refusal('the body must be {"seconds": <number>}')
        await self._core.clock.advance_in_steps(max(0.0, seconds))
        return web.json_response({"time": self._core.clock.time()})

    async def list_faults(self, _request: web.Request) -> web.Response:
        """Return the scripted faults."""
        return web.json_response({"faults": self._service.faults.describe()})

    async def add_fault(self, request: web.Request) -> web.Response:
        """Script one fault; the fields are those of `sandbox.core.faults.Fault`."""
        try:
            settings = await request.json()
            fault = self._service.faults.add(**settings)
        except (json.JSONDecodeError, TypeError, BadFaultError) as problem:
            return _refusal(f"could not script this fault: {problem}")
        return web.json_response(fault.describe(), status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Remove this service's faults."""
        self._service.faults.clear()
        return web.json_response({"ok": True})

    async def journal(self, _request: web.Request) -> web.Response:
        """Return the calls answered so far by all services."""
        return web.json_response({"entries": self._core.journal.entries()})


def _refusal(text: str) -> web.Response:
    return web.json_response({"error": text}, status=400)
