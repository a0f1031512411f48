"""The emulated Better Stack keeps monitors as the facts say and really polls their URL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.better_stack.models import BetterStackState
from sandbox.better_stack.service import BetterStack
from sandbox.core.clock import Clock
from sandbox.core.core import Core

TOKEN = "token-of-this-test"
MONITORS = "/api/v2/monitors"


class Site:
    """Something to monitor: answers with `status` and counts what it is asked."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[tuple[str, str]] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The address to monitor."""
        return f"http://127.0.0.1:{self.port}/api/ready"

    async def answer(self, request: web.Request) -> web.Response:
        """Note the request and answer."""
        self.asked.append((request.method, request.headers.get("X-Probe", "")))
        return web.Response(status=self.status, text='{"message": "OK"}')


class Caller:
    """A service on a manual clock, a client session and a site."""

    def __init__(self, service: BetterStack, session: aiohttp.ClientSession, site: Site) -> None:
        self.service = service
        self.session = session
        self.site = site

    async def call(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        """Make one call and return status and body."""
        url = path if path.startswith("http") else self.service.url + path
        headers = {"Authorization": f"Bearer {token}"}
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            text = await answer.text()
            return answer.status, (await answer.json() if text else None)

    async def create(self, **attributes: Any) -> str:
        """Create a monitor for the site and return its id."""
        status, body = await self.call("POST", MONITORS, {"url": self.site.url, "check_frequency": 180, **attributes})
        assert status == 201, body
        identifier = body["data"]["id"]
        assert isinstance(identifier, str)
        return identifier

    async def until(self, monitor: str, status: str) -> dict[str, Any]:
        """Wait (in real time: polls go over a socket) until a monitor has a status."""
        async with asyncio.timeout(5):
            while True:
                _, body = await self.call("GET", f"{MONITORS}/{monitor}")
                attributes: dict[str, Any] = body["data"]["attributes"]
                if attributes["status"] == status:
                    return attributes


@asynccontextmanager
async def _better_stack() -> AsyncIterator[Caller]:
    site, application = Site(), web.Application()
    application.router.add_route("*", "/api/ready", site.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    service = BetterStack(Core.in_memory(Clock(manual=True)), TOKEN)
    await service.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Caller(service, session, site)
    finally:
        await service.stop()
        await runner.cleanup()


def run(test: Callable[[Caller], Awaitable[None]]) -> None:
    """Run `test` against a fresh service."""

    async def whole() -> None:
        async with _better_stack() as caller:
            await test(caller)

    asyncio.run(whole())


def test_lifecycle() -> None:
    """A monitor is created, read, changed in place and removed; afterwards it is 404."""

    async def test(better: Caller) -> None:
        number = await better.create(pronounceable_name="Prefect", regions=["us", "eu"], team_name="us")
        status, body = await better.call("PATCH", f"{MONITORS}/{number}", {"check_frequency": 60})
        assert status == 200
        assert body["data"]["type"] == "monitor"
        attributes = body["data"]["attributes"]
        assert (attributes["check_frequency"], attributes["regions"]) == (60, ["us", "eu"])
        assert "team_name" not in attributes
        assert (await better.call("DELETE", f"{MONITORS}/{number}"))[0] == 204
        for method in ("GET", "PATCH", "DELETE"):
            assert (await better.call(method, f"{MONITORS}/{number}", {}))[0] == 404

    run(test)


def test_posting_twice_makes_two() -> None:
    """POST is not idempotent: the same URL twice is two monitors, and the url filter finds both."""

    async def test(better: Caller) -> None:
        first, second = await better.create(), await better.create()
        assert first != second
        _, body = await better.call("GET", f"{MONITORS}?url={better.site.url}")
        assert [each["id"] for each in body["data"]] == [first, second]
        _, body = await better.call("GET", f"{MONITORS}?url=http://127.0.0.1/other")
        assert body["data"] == []

    run(test)


def test_list_has_pages() -> None:
    """A list longer than a page is followed by its `next` link to the end."""

    async def test(better: Caller) -> None:
        for number in range(5):
            await better.create(pronounceable_name=f"m{number}", paused=True)
        path: str | None = f"{MONITORS}?per_page=2"
        names: list[str] = []
        pages = 0
        while path:
            _, body = await better.call("GET", path)
            names += [each["attributes"]["pronounceable_name"] for each in body["data"]]
            path = body["pagination"]["next"]
            pages += 1
        assert (names, pages) == (["m0", "m1", "m2", "m3", "m4"], 3)
        _, body = await better.call("GET", f"{MONITORS}?pronounceable_name=m3")
        assert len(body["data"]) == 1

    run(test)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("url", ""),
        ("url", "nonsense"),
        ("request_timeout", 4),
        ("regions", ["mars"]),
        ("regions", []),
        ("monitor_type", "guess"),
        ("check_frequency", "often"),
        ("ssl_expiration", 5),
        ("colour", "red"),
    ],
)
def test_bad_attribute_is_named(attribute: str, value: object) -> None:
    """A value that is not taken is 422 and named, and no monitor is made."""

    async def test(better: Caller) -> None:
        status, body = await better.call("POST", MONITORS, {"url": better.site.url, attribute: value})
        assert status == 422
        assert attribute in body["errors"]
        assert not better.service.state.monitors

    run(test)


def test_it_really_polls() -> None:
    """A new monitor is pending, polled at once, and then every check_frequency seconds: up, down, up again."""

    async def test(better: Caller) -> None:
        number = await better.create(request_headers=[{"name": "X-Probe", "value": "better"}])
        await better.until(number, "up")
        assert better.site.asked == [("GET", "better")]
        better.site.status = 503
        await better.service.clock.advance_in_steps(181)
        await better.until(number, "down")
        better.site.status = 200
        await better.service.clock.advance_in_steps(181)
        attributes = await better.until(number, "up")
        assert len(better.site.asked) == 3
        assert attributes["last_checked_at"] is not None
        _, body = await better.call("GET", f"{MONITORS}/{number}/response-times")
        assert len(body["data"]["attributes"]["regions"][0]["response_times"]) == 3
        _, body = await better.call("GET", f"{MONITORS}/{number}/availability")
        assert body["data"]["attributes"]["availability"] == 100.0

    run(test)


def test_nobody_listening_is_down() -> None:
    """A URL where nothing listens is down, not an error of the sandbox."""

    async def test(better: Caller) -> None:
        number = await better.create(url="http://127.0.0.1:9/api/ready")
        await better.until(number, "down")

    run(test)


def test_paused_is_not_polled() -> None:
    """A paused monitor says so and asks nothing; unpaused it polls at once."""

    async def test(better: Caller) -> None:
        number = await better.create(paused=True)
        await better.service.clock.advance_in_steps(1000)
        assert (await better.until(number, "paused"))["last_checked_at"] is None
        assert better.site.asked == []
        await better.call("PATCH", f"{MONITORS}/{number}", {"paused": False})
        await better.until(number, "up")

    run(test)


def test_token_and_rate_limit() -> None:
    """A wrong token is 401; the rate_limit switch answers 429 as often as scripted."""

    async def test(better: Caller) -> None:
        assert (await better.call("GET", MONITORS, token="wrong"))[0] == 401
        better.service.faults.add(path=MONITORS, switch="rate_limit", times=2)
        statuses = [(await better.call("GET", MONITORS))[0] for _ in range(3)]
        assert statuses == [429, 429, 200]
        assert (await better.call("GET", "/api/v2/heartbeats"))[0] == 501

    run(test)


def test_state_outlives_a_restart() -> None:
    """What is dumped and loaded again keeps monitors and never gives out an id twice."""

    async def test(better: Caller) -> None:
        number = await better.create()
        await better.until(number, "up")
        second = BetterStackState()
        second.load(better.service.state.dump())
        assert second.monitors[number].status == "up"
        assert second.add({"url": better.site.url}, 0.0).id not in better.service.state.monitors

    run(test)
