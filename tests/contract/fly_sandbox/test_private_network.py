from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.contract.fly_sandbox.conftest import WorldFactory
from tests.contract.fly_sandbox.serving import config_of, fetch, healthy


def test_a_private_address_opens_the_name_inside_the_network_alone(fly_world: WorldFactory) -> None:
    """`APP.flycast` answers, the public name does not; with force_https every request is redirected to nowhere."""

    async def scenario() -> None:
        async with fly_world("process", resolve_delay=0.0) as world:
            await world.app("web", "private_v6")
            machine = await world.machine(config=config_of())
            await healthy(world, machine)
            inside, outside = (world.fly.edge.url_of(name) for name in ("web.flycast", "web"))
            world.fly.edge.refresh("web")

            async def is_open() -> bool:
                return world.fly.edge.is_open("web.flycast")

            await world.until(is_open)
            with pytest.raises(aiohttp.ClientConnectorError):
                await fetch(outside)
            assert (await fetch(f"{inside}/"))[0] == 301
            config = machine["config"]
            for port in config["services"][0]["ports"]:
                port.pop("force_https", None)
            await world.call("POST", f"/apps/web/machines/{machine['id']}", {"config": config})
            await healthy(world, machine)
            assert (await fetch(f"{inside}/"))[0] == 200

    asyncio.run(scenario())


def test_a_command_reads_what_it_is_given(fly_world: WorldFactory) -> None:
    """Standard input arrives whole, and ends."""

    async def scenario() -> None:
        async with fly_world("process") as world:
            await world.app()
            machine = await world.machine()
            path = f"/apps/web/machines/{machine['id']}"
            await world.call("GET", f"{path}/wait?state=started")
            reply = await world.call("POST", f"{path}/exec", {"command": ["cat"], "stdin": "secret words\n"})
            assert (reply.body["exit_code"], reply.body["stdout"]) == (0, "secret words\n")

    asyncio.run(scenario())
