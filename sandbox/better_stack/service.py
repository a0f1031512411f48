"""The emulated Better Stack Uptime API."""

from __future__ import annotations

from collections.abc import Iterable
from json import JSONDecodeError
from typing import Any

from aiohttp import web

from sandbox.better_stack import errors, wire
from sandbox.better_stack.models import BetterStackState, InvalidMonitorError, Monitor
from sandbox.better_stack.polling import Poller
from sandbox.core.core import Core
from sandbox.core.service import Service, bearer_token, read_json, same_token

_COLLECTION = "/api/v2/monitors"
_PAGE_SIZE, _LARGEST_PAGE = 50, 250


class BetterStack(Service):
    """Better Stack with one accepted token.

    The fault switch `rate_limit` answers 429 without Retry-After; a plain fault does with any header.

    Args:
        core: clock, journal, store and faults of the sandbox.
        token: the token that may do everything.
        scale: seconds of the clock per second of a monitor's `check_frequency`.
    """

    name = "betterstack"

    def __init__(self, core: Core, token: str, *, scale: float = 1.0) -> None:
        super().__init__(core)
        self._token = token
        self.state = BetterStackState()
        saved = core.store.section(self.name, self.state.dump)
        if saved:
            self.state.load(saved)
        self._poller = Poller(self.state, self.clock, core.store.save, scale)

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> int:
        """Listen, and poll the monitors that were there before."""
        port = await super().start(port, host)
        for monitor in self.state.monitors.values():
            self._poller.follow(monitor)
        return port

    async def stop(self) -> None:
        """Poll no more and close the server."""
        await self._poller.stop()
        await super().stop()

    async def reset(self) -> None:
        """Forget all monitors."""
        await self._poller.stop()
        self.state.monitors.clear()
        self.core.store.save()

    async def authenticate(self, request: web.Request) -> web.StreamResponse | None:
        """Refuse every token but the one, and any call while the rate limit is scripted."""
        if self.faults.switched("rate_limit", request.path):
            return errors.answer(429, "Too many requests")
        if same_token(bearer_token(request), self._token):
            return None
        return errors.answer(401, "Invalid Team API token. Pass it as a Bearer token.")

    def error(self, status: int, text: str) -> web.Response:
        """Return an error in Better Stack's form."""
        return errors.answer(status, text)

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes."""
        one = f"{_COLLECTION}/{{monitor}}"
        return [
            web.get(_COLLECTION, self._list),
            web.post(_COLLECTION, self._create),
            web.get(one, self._get),
            web.patch(one, self._change),
            web.delete(one, self._delete),
            web.get(f"{one}/response-times", self._response_times),
            web.get(f"{one}/availability", self._availability),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        found = list(self.state.monitors.values())
        for name in ("url", "pronounceable_name"):
            if wanted := request.query.get(name):
                found = [each for each in found if each.attributes[name] == wanted]
        size = min(_LARGEST_PAGE, _number(request, "per_page", _PAGE_SIZE))
        return web.json_response(wire.page(found, self.clock, request.url, _number(request, "page", 1), size))

    async def _create(self, request: web.Request) -> web.Response:
        body = await _body(request)
        try:
            monitor = self.state.add(body, self.clock.time())
        except InvalidMonitorError as problem:
            raise errors.invalid(problem.attribute, str(problem)) from problem
        self._poller.follow(monitor)
        return web.json_response({"data": wire.monitor(monitor, self.clock)}, status=201)

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response({"data": wire.monitor(self._monitor(request), self.clock)})

    async def _change(self, request: web.Request) -> web.Response:
        monitor, body = self._monitor(request), await _body(request)
        try:
            self.state.change(monitor, body, self.clock.time())
        except InvalidMonitorError as problem:
            raise errors.invalid(problem.attribute, str(problem)) from problem
        self._poller.follow(monitor)
        return web.json_response({"data": wire.monitor(monitor, self.clock)})

    async def _delete(self, request: web.Request) -> web.Response:
        monitor = self._monitor(request)
        del self.state.monitors[monitor.id]
        self._poller.drop(monitor.id)
        return web.Response(status=204)

    async def _response_times(self, request: web.Request) -> web.Response:
        return web.json_response(wire.response_times(self._monitor(request), self.clock))

    async def _availability(self, request: web.Request) -> web.Response:
        monitor = self._monitor(request)
        # What the last poll found stands for the whole period.
        attributes = {"availability": 100.0 if monitor.answering else 0.0}
        return web.json_response({"data": {"id": monitor.id, "type": "monitor_sla", "attributes": attributes}})

    def _monitor(self, request: web.Request) -> Monitor:
        found = self.state.monitors.get(request.match_info["monitor"])
        if found is None:
            raise errors.not_found()
        return found


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        return await read_json(request)
    except (JSONDecodeError, TypeError, UnicodeDecodeError) as problem:
        raise errors.invalid("base", "the body is no JSON object") from problem


def _number(request: web.Request, name: str, default: int) -> int:
    given = request.query.get(name, "")
    return max(1, int(given)) if given.isdecimal() else default
