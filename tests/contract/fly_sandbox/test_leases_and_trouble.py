from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.contract.fly_sandbox.conftest import IMAGE, WorldFactory


def test_a_lease_keeps_others_from_changing_a_machine(fly_world: WorldFactory) -> None:
    """Without the nonce every change is a 409; with it changes pass and the lease is prolonged; it can be released."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine()
            await world.advance(2)
            path = f"/apps/web/machines/{machine['id']}"
            assert (await world.call("GET", f"{path}/lease")).status == 404
            taken = await world.call("POST", f"{path}/lease", {"ttl": 30, "description": "update"})
            nonce = taken.body["data"]["nonce"]
            assert (taken.status, taken.body["data"]["version"]) == (201, machine["instance_id"])
            assert (await world.call("POST", f"{path}/lease?ttl=30")).status == 409
            for method, suffix in (("POST", ""), ("POST", "/stop"), ("DELETE", ""), ("POST", "/cordon")):
                refused = await world.call(method, path + suffix, {"config": machine["config"]})
                assert refused.status == 409
                assert "lease" in refused.body["error"]
            prolonged = await world.call("POST", f"{path}/lease?ttl=90", nonce=nonce)
            assert prolonged.body["data"]["expires_at"] > taken.body["data"]["expires_at"]
            assert (await world.call("POST", path, {"config": machine["config"]}, nonce=nonce)).status == 200
            assert (await world.call("DELETE", f"{path}/lease", nonce="wrong")).status == 409
            released = await world.call("DELETE", f"{path}/lease", nonce=nonce)
            assert released.body == {"status": "success", "data": {"ok": True}}

    asyncio.run(scenario())


def test_a_lease_expires_on_the_sandbox_clock(fly_world: WorldFactory) -> None:
    """A machine made with lease_ttl shows its nonce once, and is free again when the time is over."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine(lease_ttl=30)
            assert machine["nonce"]
            path = f"/apps/web/machines/{machine['id']}"
            assert "nonce" not in await world.show(machine)
            await world.advance(29)
            assert (await world.call("POST", f"{path}/stop")).status == 409
            await world.advance(2)
            assert (await world.call("POST", f"{path}/stop")).status == 200

    asyncio.run(scenario())


def test_exact_rate_limits_allow_three_at_once_and_one_a_second(fly_world: WorldFactory) -> None:
    """The fourth call of one action on one app is a 429 without Retry-After; a second later one more passes."""

    async def scenario() -> None:
        async with fly_world(exact_rate_limits=True) as world:
            await world.app("web")
            await world.app("other")
            codes = [(await world.call("GET", "/apps/web/secrets")).status for _ in range(4)]
            assert codes == [200, 200, 200, 429]
            assert (await world.call("GET", "/apps/other/secrets")).status == 200
            await world.advance(1)
            again = [await world.call("GET", "/apps/web/secrets") for _ in range(2)]
            assert [reply.status for reply in again] == [200, 429]
            assert "Retry-After" not in again[1].headers

    asyncio.run(scenario())


def test_the_machine_limit_and_scripted_capacity_errors(fly_world: WorldFactory) -> None:
    """The organization's limit is a 422 with "machine limit"; capacity and payment can be scripted as they look."""

    async def scenario() -> None:
        async with fly_world(machine_limit=1) as world:
            await world.app()
            world.fly.trouble.no_capacity()
            body = {"config": {"image": IMAGE}}
            capacity = await world.call("POST", "/apps/web/machines", body)
            assert (capacity.status, capacity.body["status"]) == (422, "insufficient_capacity")
            world.fly.trouble.payment_required()
            assert "payment method" in (await world.call("POST", "/apps/web/machines", body)).body["error"]
            world.fly.trouble.manifest_unknown()
            assert "MANIFEST_UNKNOWN" in (await world.call("POST", "/apps/web/machines", body)).body["error"]
            await world.machine()
            limit = await world.call("POST", "/apps/web/machines", body)
            assert (limit.status, "machine limit" in limit.body["error"]) == (422, True)

    asyncio.run(scenario())


def test_a_new_app_can_take_its_time_to_be_seen(fly_world: WorldFactory) -> None:
    """With the switch on, an app just made answers 404 and 401 a few times before it is there."""

    async def scenario() -> None:
        async with fly_world() as world:
            world.fly.trouble.slow_apps(times=2)
            await world.app()
            codes = [(await world.call("GET", "/apps/web")).status for _ in range(5)]
            assert codes == [404, 404, 401, 401, 200]

    asyncio.run(scenario())


def test_an_unreachable_host_shows_in_status_and_refuses_changes(fly_world: WorldFactory) -> None:
    """host_status is unreachable, the config incomplete, wait and changes are 409, until the host is back."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine()
            await world.advance(2)
            world.fly.trouble.host_unreachable(machine["id"])
            shown = await world.show(machine)
            assert (shown["host_status"], "config" in shown) == ("unreachable", False)
            assert shown["incomplete_config"]["image"] == IMAGE
            path = f"/apps/web/machines/{machine['id']}"
            assert (await world.call("GET", f"{path}/wait?state=started")).status == 409
            assert (await world.call("POST", f"{path}/stop")).status == 409
            world.fly.trouble.host_back(machine["id"])
            assert (await world.call("GET", f"{path}/wait?state=started")).status == 200

    asyncio.run(scenario())


def test_a_lost_answer_leaves_the_machine_behind(fly_world: WorldFactory) -> None:
    """When the answer to a create is dropped the machine exists, so a caller has to look before it tries again."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            world.fly.core.faults_of("fly").add("POST", r"/apps/web/machines$", drop_answer=True)
            with pytest.raises(aiohttp.ClientError):
                await world.call("POST", "/apps/web/machines", {"name": "m", "config": {"image": IMAGE}})
            assert [machine["name"] for machine in (await world.call("GET", "/apps/web/machines")).body] == ["m"]

    asyncio.run(scenario())


def test_state_survives_a_restart_of_the_sandbox(fly_world: WorldFactory) -> None:
    """After stop and start, token, app, secrets, edge port and machine are as before, and what ran runs again."""

    async def scenario() -> None:
        async with fly_world(keep=True) as world:
            await world.app("web", "shared_v4")
            await world.call("POST", "/apps/web/secrets", {"values": {"A": "kept"}})
            running = await world.machine(name="running", min_secrets_version=1)
            resting = await world.machine(name="resting", skip_launch=True)
            await world.advance(3)
            token, port = world.fly.token, world.fly.edge.port_of("web")
        async with fly_world(keep=True) as world:
            assert (world.fly.token, world.fly.edge.port_of("web")) == (token, port)
            await world.advance(3)
            states = [(await world.show(machine))["state"] for machine in (running, resting)]
            assert states == ["started", "stopped"]
            assert (await world.show(running))["private_ip"] == running["private_ip"]
            assert world.emulated.launches[-1].environment["A"] == "kept"

    asyncio.run(scenario())


def test_trouble_can_be_scripted_over_http(fly_world: WorldFactory) -> None:
    """Known troubles are scripted by name without a token; a wrong name or argument is refused with a reason."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            path = f"{world.fly.machines_api.url}/_sandbox/fly/trouble"
            async with aiohttp.ClientSession() as session:

                async def script(name: str, **arguments: object) -> tuple[int, str]:
                    async with session.post(path, json={"name": name, "arguments": arguments}) as reply:
                        return reply.status, await reply.text()

                assert (await script("no_capacity", times=1))[0] == 200
                assert (await script("bad_weather"))[0] == 400
                assert (await script("no_capacity", hours=1))[0] == 400
                assert "no machine" in (await script("host_back", machine_id="m"))[1]
            refused = await world.call("POST", "/apps/web/machines", {"config": {"image": IMAGE}})
            assert refused.body["status"] == "insufficient_capacity"

    asyncio.run(scenario())
