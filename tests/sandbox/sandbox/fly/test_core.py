from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from sandbox.core.clock import Clock
from sandbox.core.core import Core
from sandbox.core.faults import BadFaultError, Faults
from sandbox.core.journal import Journal
from sandbox.core.service import Service, bearer_token, same_token
from sandbox.core.store import Store
from tests.support.waiting import PATIENCE


class Echo(Service):
    name = "echo"

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self.effects = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the two routes."""
        return [web.post("/thing", self.post_thing), web.get("/thing", self.get_thing)]

    async def authenticate(self, request: web.Request) -> web.Response | None:
        """Accept one token."""
        return None if same_token(bearer_token(request), "right") else self.error(401, "no")

    async def post_thing(self, _request: web.Request) -> web.Response:
        """Have an effect."""
        self.effects += 1
        return web.json_response({"effects": self.effects})

    async def get_thing(self, _request: web.Request) -> web.Response:
        """Count effects."""
        return web.json_response({"effects": self.effects})


class Running:
    def __init__(self, service: Echo, session: aiohttp.ClientSession) -> None:
        self.service = service
        self.session = session

    async def call(self, method: str, path: str, credential: str = "right", **more: object) -> tuple[int, object]:
        """Return status and JSON of one call."""
        headers = {"Authorization": f"Bearer {credential}"}
        async with self.session.request(method, self.service.url + path, headers=headers, **more) as reply:  # type: ignore[arg-type]
            return reply.status, await reply.json()


async def with_echo(use: object, core: Core | None = None) -> None:
    service = Echo(core or Core.in_memory(Clock(manual=True)))
    await service.start()
    try:
        async with aiohttp.ClientSession() as session:
            await use(Running(service, session))  # type: ignore[operator]
    finally:
        await service.stop()


def test_manual_clock_sleeps_until_advanced() -> None:
    """A sleep on the manual clock ends only when the clock is advanced past it, and in the order of deadlines."""

    async def scenario() -> None:
        clock = Clock(manual=True, start=1000.0)
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await clock.sleep(seconds)
            woken.append(seconds)

        tasks = [asyncio.create_task(sleeper(seconds)) for seconds in (30, 10)]
        await asyncio.sleep(0)
        await clock.advance_in_steps(9)
        assert woken == []
        await clock.advance_in_steps(30)
        await asyncio.gather(*tasks)
        assert woken == [10, 30]
        assert clock.time() == 1039.0

    asyncio.run(scenario())


def test_advancing_runs_a_periodic_task_once_per_period() -> None:
    """A loop that sleeps a second runs ten times when the clock is advanced by ten seconds at once."""

    async def scenario() -> None:
        clock = Clock(manual=True)
        ticks = 0

        async def loop() -> None:
            nonlocal ticks
            while True:
                await clock.sleep(1)
                ticks += 1

        task = asyncio.create_task(loop())
        await asyncio.sleep(0)
        await clock.advance_in_steps(10)
        task.cancel()
        assert ticks == 10

    asyncio.run(scenario())


def test_real_clock_can_be_pushed_forward_from_another_thread() -> None:
    """A long sleep on the real clock ends at once when a test's thread advances it."""

    async def scenario() -> None:
        clock = Clock()
        task = asyncio.create_task(clock.sleep(3600))
        await asyncio.sleep(0)
        await asyncio.to_thread(clock.advance, 3601)
        await asyncio.wait_for(task, PATIENCE)

    asyncio.run(scenario())


def test_wait_for_gives_up_on_the_sandbox_clock() -> None:
    """wait_for raises TimeoutError after the sandbox's seconds and cancels what it waited for."""

    async def scenario() -> None:
        clock = Clock(manual=True)
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = asyncio.create_task(clock.wait_for(never, 5))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await clock.advance_in_steps(6)
        with pytest.raises(TimeoutError):
            await waiting
        assert never.cancelled()

    asyncio.run(scenario())


def test_journal_keeps_the_path_without_its_query(tmp_path: Path) -> None:
    """A query may carry a secret, so neither the file nor the entries hold it."""
    journal = Journal(Clock(manual=True, start=5.0), tmp_path / "journal.jsonl")
    journal.record("fly", "GET", "/v1/apps?token=hidden", 200)
    text = (tmp_path / "journal.jsonl").read_text()
    assert json.loads(text) == {"time": 5.0, "service": "fly", "method": "GET", "path": "/v1/apps", "status": 200}
    assert "hidden" not in text


def test_store_is_private_and_reloads_by_section(tmp_path: Path) -> None:
    """What a section dumped is what it gets back after a restart, from a file only the owner can read."""
    path = tmp_path / "deep" / "state.json"
    first = Store(path)
    assert first.section("fly", lambda: {"apps": 1}) is None
    first.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Store(path).section("fly", dict) == {"apps": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["state.json"]


def test_faults_skip_hit_and_are_spent() -> None:
    """A fault lets `skip` calls pass, hits `times` calls and is then over; other paths are left alone."""
    faults = Faults()
    fault = faults.add("post", r"/apps/[^/]+/machines$", skip=1, times=2, status=503)
    hits = [faults.take("POST", "/v1/apps/a/machines") is not None for _ in range(4)]
    assert hits == [False, True, True, False]
    assert faults.take("GET", "/v1/apps/a/machines") is None
    assert fault.hits == 2


def test_a_fault_with_an_unknown_setting_is_refused() -> None:
    """A misspelt setting raises instead of scripting nothing."""
    with pytest.raises(BadFaultError, match="statsu"):
        Faults().add("GET", "/", statsu=500)


def test_unknown_route_answers_501_and_names_itself() -> None:
    """A program that relies on a route the sandbox lacks is told so, even without a token."""

    async def scenario(echo: Running) -> None:
        assert await echo.call("GET", "/nothing", credential="wrong") == (
            501,
            {"error": "the sandbox's echo does not know GET /nothing"},
        )
        assert (await echo.call("PUT", "/thing"))[0] == 501

    asyncio.run(with_echo(scenario))


def test_a_wrong_token_is_refused_before_the_handler() -> None:
    """A call without the right token has no effect."""

    async def scenario(echo: Running) -> None:
        assert (await echo.call("POST", "/thing", credential="wrong"))[0] == 401
        assert echo.service.effects == 0

    asyncio.run(with_echo(scenario))


def test_dropped_answer_had_its_effect_and_a_reset_had_not() -> None:
    """drop_answer cuts the connection after the effect, reset before it; both are in the journal with status 0."""

    async def scenario(echo: Running) -> None:
        echo.service.faults.add("POST", "/thing", drop_answer=True)
        with pytest.raises(aiohttp.ClientError):
            await echo.call("POST", "/thing")
        assert echo.service.effects == 1
        echo.service.faults.add("POST", "/thing", reset=True)
        with pytest.raises(aiohttp.ClientError):
            await echo.call("POST", "/thing")
        assert echo.service.effects == 1
        assert [entry["status"] for entry in echo.service.core.journal.entries()] == [0, 0]

    asyncio.run(with_echo(scenario))


def test_a_held_call_had_its_effect_and_waits_until_the_fault_is_removed() -> None:
    """A hold keeps the answer back after the effect; the fault says which port the call came from."""

    async def scenario(echo: Running) -> None:
        fault = echo.service.faults.add("POST", "/thing", hold=3600.0)
        call = asyncio.create_task(echo.call("POST", "/thing"))
        done, _ = await asyncio.wait({call}, timeout=0.5)
        assert (done, echo.service.effects) == (set(), 1)
        assert (fault.hits, fault.caller is not None) == (1, True)
        echo.service.faults.clear()
        assert (await call)[0] == 200

    asyncio.run(with_echo(scenario))


def test_control_calls_script_faults_advance_and_reset() -> None:
    """Faults, clock, journal and reset can be steered over HTTP without a token and leave no journal entry."""

    async def scenario(echo: Running) -> None:
        fault = {"method": "GET", "path": "/thing", "status": 429, "body": {"error": "slow down"}}
        assert (await echo.call("POST", "/_sandbox/faults", credential="", json=fault))[0] == 201
        assert await echo.call("GET", "/thing") == (429, {"error": "slow down"})
        before = echo.service.clock.time()
        await echo.call("POST", "/_sandbox/advance", json={"seconds": 60})
        assert echo.service.clock.time() == before + 60
        entries = (await echo.call("GET", "/_sandbox/journal"))[1]
        assert [entry["path"] for entry in entries["entries"]] == ["/thing"]  # type: ignore[index]
        assert (await echo.call("POST", "/_sandbox/reset"))[0] == 200
        assert echo.service.core.journal.entries() == []
        assert (await echo.call("POST", "/_sandbox/faults", json={"path": "("}))[0] == 400

    asyncio.run(with_echo(scenario))


def test_a_port_is_taken_again_after_a_restart() -> None:
    """Ports lie below the range of outgoing connections, and a service gets its old port back although calls linger."""

    async def scenario() -> None:
        first = Echo(Core.in_memory())
        port = await first.start()
        assert 15_000 <= port < 32_768
        async with aiohttp.ClientSession() as session:
            await Running(first, session).call("GET", "/thing")
            await first.stop()
        second = Echo(Core.in_memory())
        assert await second.start(port) == port
        third = Echo(Core.in_memory())
        with pytest.raises(OSError, match="in use"):
            await third.start(port)
        await second.stop()

    asyncio.run(scenario())
