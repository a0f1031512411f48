from __future__ import annotations

import asyncio
import io
import json

import aiohttp
import pytest

from tests.contract.fly_sandbox.conftest import WorldFactory
from tests.contract.fly_sandbox.serving import config_of, fetch, healthy, serving


def test_the_edge_opens_late_and_routes_to_the_machine(fly_world: WorldFactory) -> None:
    """Before there is an address and a machine the port refuses; then requests arrive with Fly's headers."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.2) as world:
            url = world.fly.edge.url_of("web")
            with pytest.raises(aiohttp.ClientConnectorError):
                await fetch(url)
            machines = await serving(world)
            status, text, headers = await fetch(f"{url}/")
            assert (status, json.loads(text)["machine"]) == (200, machines[0]["id"])
            assert headers["fly-request-id"]
            assert headers["fly-sandbox-force-https"] == "would redirect"
            seen = json.loads((await fetch(f"{url}/headers"))[1])
            assert seen["fly-client-ip"] == "127.0.0.1"
            assert seen["fly-region"] == "ewr"
            gateway = f"http://127.0.0.1:{world.fly.edge.gateway_port}/"
            assert (await fetch(gateway, headers={"Host": "web.fly.localhost"}))[0] == 200
            assert (await fetch(gateway, headers={"Host": "nobody.fly.localhost"}))[0] == 404

    asyncio.run(scenario())


def test_the_edge_shuts_when_the_address_is_released(fly_world: WorldFactory) -> None:
    """Without an address the port refuses again, and it is the same port when an address is back."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            await serving(world)
            url = world.fly.edge.url_of("web")
            assert (await fetch(f"{url}/"))[0] == 200
            await world.call("DELETE", "/apps/web/ip_assignments/66.241.125.7")
            with pytest.raises(aiohttp.ClientConnectorError):
                await fetch(url)
            await world.call("POST", "/apps/web/ip_assignments", {"type": "shared_v4"})

            async def is_open() -> bool:
                return world.fly.edge.is_open("web")

            await world.until(is_open)
            assert (await fetch(f"{url}/"))[0] == 200
            assert world.fly.edge.url_of("web") == url

    asyncio.run(scenario())


def test_bodies_streams_and_cut_answers_pass_as_they_are(fly_world: WorldFactory) -> None:
    """A large body arrives whole, a stream arrives in parts, and a machine that hangs up gives 502, not a retry."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            await serving(world, 2)
            url = world.fly.edge.url_of("web")
            body = "x" * 3_000_000
            assert (await fetch(f"{url}/echo", method="POST", data=io.BytesIO(body.encode())))[1] == body
            now = asyncio.get_running_loop().time
            async with aiohttp.ClientSession() as session, session.get(f"{url}/stream") as reply:
                times = [now() async for _ in reply.content]
            assert len(times) == 3
            assert times[2] - times[0] > 0.3
            assert (await fetch(f"{url}/cut"))[0] == 502

    asyncio.run(scenario())


def test_an_instance_can_be_asked_for_and_unhealthy_or_cordoned_ones_get_nothing(fly_world: WorldFactory) -> None:
    """fly-force-instance-id picks a machine; a cordoned one gets no requests; with none left the answer is 503."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            first, second = await serving(world, 2)
            url = f"{world.fly.edge.url_of('web')}/"
            seen = {json.loads((await fetch(url))[1])["machine"] for _ in range(4)}
            assert seen == {first["id"], second["id"]}
            forced = {"fly-force-instance-id": second["id"]}
            assert {json.loads((await fetch(url, headers=forced))[1])["machine"] for _ in range(3)} == {second["id"]}
            await world.call("POST", f"/apps/web/machines/{second['id']}/cordon")
            assert {json.loads((await fetch(url))[1])["machine"] for _ in range(3)} == {first["id"]}
            assert (await fetch(url, headers=forced))[0] == 503
            sick = {"config": config_of(env={"UNHEALTHY": "1"}, image=first["config"]["image"])}
            await world.call("POST", f"/apps/web/machines/{first['id']}", sick)

            async def warned() -> bool:
                checks = (await world.show(first))["checks"]
                return bool(checks) and checks[0]["output"].startswith("HTTP 503")

            await world.until(warned)
            assert (await world.show(first))["checks"][0]["status"] == "warning"
            assert (await fetch(url))[0] == 503

    asyncio.run(scenario())


def test_a_rolling_update_of_two_machines_loses_no_request(fly_world: WorldFactory) -> None:
    """All requests sent while one machine after the other is cordoned, drained and replaced are answered 200."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            machines = await serving(world, 2)
            url = f"{world.fly.edge.url_of('web')}/"
            codes: list[list[int]] = [[], []]
            over = asyncio.Event()

            async def load(mine: list[int]) -> None:
                while not over.is_set():
                    mine.append((await fetch(url))[0])

            async def drained() -> None:
                """Return when every request that was under way when this began has been answered."""
                before = [len(mine) for mine in codes]

                async def answered() -> bool:
                    return all(len(mine) > count + 1 for mine, count in zip(codes, before, strict=True))

                await world.until(answered)

            clients = [asyncio.create_task(load(mine)) for mine in codes]
            for machine in machines:
                await world.call("POST", f"/apps/web/machines/{machine['id']}/cordon")
                await drained()
                body = {"config": {**machine["config"], "env": {"NEW": "1"}}}
                updated = (await world.call("POST", f"/apps/web/machines/{machine['id']}", body)).body
                await world.call("GET", f"/apps/web/machines/{machine['id']}/wait?version={updated['instance_id']}")
                await healthy(world, machine)
                await world.call("POST", f"/apps/web/machines/{machine['id']}/uncordon")
                await drained()
            over.set()
            await asyncio.gather(*clients)
            assert {code for mine in codes for code in mine} == {200}

    asyncio.run(scenario())
