from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sandbox.images import parse_reference
from tests.contract.fly_sandbox.conftest import IMAGE, World, WorldFactory
from tests.support.waiting import PATIENCE

CHECKED = {
    "services": [
        {
            "protocol": "tcp",
            "internal_port": 8080,
            "autostop": "off",
            "ports": [{"port": 443, "handlers": ["http", "tls"]}],
            "checks": [{"type": "http", "path": "/health", "interval": "60s", "timeout": 5_000_000_000}],
        }
    ]
}


async def waited(world: World, machine: Any, query: str, app: str = "web") -> asyncio.Task[Any]:
    """Begin a wait and let it arrive at the server."""
    task = asyncio.create_task(world.call("GET", f"/apps/{app}/machines/{machine['id']}/wait?{query}"))
    await asyncio.sleep(0.05)
    return task


def test_a_new_machine_goes_through_the_states_and_gets_checks_late(fly_world: WorldFactory) -> None:
    """Created → starting → started; the list of checks is empty first and passes later; a wait sees it through."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine(config=CHECKED, name="m")
            assert (machine["state"], machine["checks"], machine["host_status"]) == ("created", [], "ok")
            wait = await waited(world, machine, f"state=started&version={machine['instance_id']}")
            await world.advance(0.6)
            assert (await wait).body["state"] == "started"
            assert (await world.show(machine))["checks"] == []
            await world.advance(1)
            checks = (await world.show(machine))["checks"]
            assert [(check["name"], check["status"]) for check in checks] == [("servicecheck-00-http-8080", "passing")]
            kinds = [event["type"] for event in (await world.show(machine))["events"]]
            assert kinds == ["start", "launch"]

    asyncio.run(scenario())


def test_the_reply_is_normalised_and_filled_with_defaults(fly_world: WorldFactory) -> None:
    """Durations come back in Go's spelling, autostop as a boolean, guest and restart policy filled in."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            config = (await world.machine(config=CHECKED))["config"]
            check = config["services"][0]["checks"][0]
            assert (check["interval"], check["timeout"]) == ("1m0s", "5s")
            assert config["services"][0]["autostop"] is False
            assert config["guest"] == {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
            assert config["restart"] == {"policy": "on-failure", "max_retries": 10}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"config": {}}, 400, "config.image is required"),
        ({"config": {"image": IMAGE, "guest": {"memory_mb": 300}}}, 400, "multiple of 256"),
        ({"config": {"image": IMAGE, "guest": {"cpus": 4, "memory_mb": 256}}}, 400, "minimum required 1024"),
        ({"config": {"image": IMAGE, "guest": {"cpu_kind": "warp"}}}, 400, "cpu_kind"),
        ({"config": {"image": IMAGE, "restart": {"policy": "maybe"}}}, 400, "restart.policy"),
        ({"config": {"image": IMAGE, "stop_config": {"timeout": "soon"}}}, 400, "invalid duration"),
        ({"config": {"image": IMAGE, "stop_config": {"signal": "SIGNOPE"}}}, 400, "SIGNOPE"),
        ({"config": {"image": IMAGE, "services": [{"ports": []}]}}, 400, "internal_port"),
        ({"region": "moon"}, 422, "moon"),
        ({"name": "taken"}, 422, "already exists"),
    ],
)
def test_a_wrong_create_is_refused(fly_world: WorldFactory, change: dict[str, Any], status: int, text: str) -> None:
    """Each wrong field is refused with its code and named, and no machine is left behind."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            await world.machine(name="taken")
            body = {"region": "ewr", "config": {"image": IMAGE}, **change}
            reply = await world.call("POST", "/apps/web/machines", body)
            assert reply.status == status
            assert text in reply.body["error"]
            assert len((await world.call("GET", "/apps/web/machines")).body) == 1

    asyncio.run(scenario())


def test_an_image_that_is_not_in_the_registry_is_manifest_unknown(fly_world: WorldFactory) -> None:
    """A missing image is a 400 with MANIFEST_UNKNOWN, for create and update."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine()
            world.emulated._images.missing.add(parse_reference("registry.example.com/lost").name)
            body = {"config": {"image": "registry.example.com/lost:1"}}
            for path in ("/apps/web/machines", f"/apps/web/machines/{machine['id']}"):
                reply = await world.call("POST", path, body)
                assert (reply.status, "MANIFEST_UNKNOWN" in reply.body["error"]) == (400, True)

    asyncio.run(scenario())


def test_an_update_gives_a_new_version_and_keeps_name_and_region(fly_world: WorldFactory) -> None:
    """An update changes the instance, ignores name and region, and refuses a wrong current_version with 412."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine(name="m")
            await world.advance(2)
            path = f"/apps/web/machines/{machine['id']}"
            stale = {"config": machine["config"], "current_version": "01OLD"}
            assert (await world.call("POST", path, stale)).status == 412
            body = {
                "name": "other",
                "region": "ams",
                "config": {**machine["config"], "env": {"A": "1"}},
                "current_version": machine["instance_id"],
            }
            updated = (await world.call("POST", path, body)).body
            assert (updated["name"], updated["region"], updated["state"]) == ("m", "ewr", "replacing")
            assert updated["instance_id"] != machine["instance_id"]
            assert (await world.call("POST", f"{path}/start")).status == 412
            old = await waited(world, machine, f"state=started&version={machine['instance_id']}&timeout=5")
            new = await waited(world, machine, f"state=started&version={updated['instance_id']}&timeout=5")
            await world.advance(6)
            assert ((await new).status, (await old).status) == (200, 408)
            versions = (await world.call("GET", f"{path}/versions")).body
            assert [item["version"] for item in versions] == [updated["instance_id"], machine["instance_id"]]
            assert world.emulated.launches[-1].environment["A"] == "1"

    asyncio.run(scenario())


def test_stop_start_suspend_and_destroy(fly_world: WorldFactory) -> None:
    """The deliberate operations reach their states; a running machine needs force; a destroyed one is still shown."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine(name="m")
            await world.advance(2)
            path = f"/apps/web/machines/{machine['id']}"
            assert (await world.call("DELETE", path)).status == 412
            await world.call("POST", f"{path}/stop", {"signal": "SIGTERM", "timeout": "10s"})
            await world.advance(1)
            stopped = await world.show(machine)
            assert stopped["state"] == "stopped"
            assert stopped["events"][0]["request"]["exit_event"]["requested_stop"] is True
            assert (await world.call("POST", f"{path}/start")).body["previous_state"] == "stopped"
            await world.advance(1)
            await world.call("POST", f"{path}/suspend")
            await world.advance(1)
            assert (await world.show(machine))["state"] == "suspended"
            assert (await world.call("DELETE", path)).body == {"ok": True}
            await world.advance(1)
            assert (await world.show(machine))["state"] == "destroyed"
            assert (await world.call("GET", "/apps/web/machines")).body == []
            assert len((await world.call("GET", "/apps/web/machines?include_deleted=true")).body) == 1
            assert (await world.call("POST", f"{path}/start")).status == 404
            assert (await world.call("GET", f"{path}/wait?state=started")).status == 404
            assert (await world.call("GET", f"{path}/wait?state=destroyed")).status == 200
            await world.machine(name="m")

    asyncio.run(scenario())


def test_wait_refuses_what_the_api_refuses(fly_world: WorldFactory) -> None:
    """A timeout outside 1 to 60 s or an unknown state is a 400; a wait that runs out is a 408 that names the state."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine()
            path = f"/apps/web/machines/{machine['id']}/wait"
            for query in ("timeout=61", "timeout=0", "timeout=soon", "state=happy"):
                assert (await world.call("GET", f"{path}?{query}")).status == 400
            wait = await waited(world, machine, "state=stopped&timeout=5")
            await world.advance(6)
            reply = await wait
            assert reply.status == 408
            assert "desired state, stopped, currently started" in reply.body["error"]

    asyncio.run(scenario())


@pytest.mark.parametrize("query", ["", "?force=true"])
def test_deleting_an_app_takes_its_machines_along_and_is_over_later(fly_world: WorldFactory, query: str) -> None:
    """As flyctl sends it, without force, too: accepted at once; the app is there, unchangeable, until it is gone."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web", "v6")
            machine = await world.machine()
            await world.advance(2)
            assert (await world.call("DELETE", f"/apps/web{query}")).status == 202
            await world.advance(0.1)
            assert (await world.show(machine))["state"] == "destroyed"
            assert (await world.call("GET", "/apps/web")).body["machine_count"] == 0
            assert (await world.call("POST", "/apps/web/secrets", {"values": {"A": "1"}})).status == 409
            assert (await world.call("POST", "/apps", {"name": "web", "org_slug": "captionacc"})).status == 422
            assert (await world.call("DELETE", "/apps/web")).status == 202
            await world.advance(2)
            assert (await world.call("GET", "/apps/web")).status == 404
            await world.app("web")

    asyncio.run(scenario())


def test_machines_are_listed_by_metadata_and_state(fly_world: WorldFactory) -> None:
    """metadata.K=V, region and state filter the list, and metadata can be changed without a restart."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            ours = await world.machine(config={"metadata": {"owner": "us"}}, name="a")
            await world.machine(name="b", region="ams")
            await world.advance(2)
            listed = (await world.call("GET", "/apps/web/machines?metadata.owner=us")).body
            assert [machine["name"] for machine in listed] == ["a"]
            assert [m["name"] for m in (await world.call("GET", "/apps/web/machines?region=ams")).body] == ["b"]
            path = f"/apps/web/machines/{ours['id']}/metadata"
            assert (await world.call("POST", f"{path}/note", {"value": "x"})).status == 204
            assert (await world.call("PATCH", path, {"metadata": {"owner": None}})).status == 204
            assert (await world.call("GET", path)).body == {"note": "x"}
            stale = {"metadata": {}, "machine_version": "01OLD"}
            assert (await world.call("PUT", path, stale)).status == 412
            assert (await world.show(ours))["instance_id"] == ours["instance_id"]

    asyncio.run(scenario())


def test_two_creates_or_updates_at_once_do_not_both_win(fly_world: WorldFactory) -> None:
    """Of two creates with one name one is a 422; of two updates from one version one is a 412."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            body = {"name": "m", "config": {"image": IMAGE}}
            creates = await asyncio.gather(*(world.call("POST", "/apps/web/machines", body) for _ in range(2)))
            assert sorted(reply.status for reply in creates) == [200, 422]
            machine = next(reply.body for reply in creates if reply.status == 200)
            await world.advance(2)
            body = {"config": machine["config"], "current_version": machine["instance_id"]}
            path = f"/apps/web/machines/{machine['id']}"
            updates = await asyncio.gather(*(world.call("POST", path, body) for _ in range(2)))
            assert sorted(reply.status for reply in updates) == [200, 412]

    asyncio.run(scenario())


def test_an_app_is_suspended_while_no_machine_of_it_runs(fly_world: WorldFactory) -> None:
    """An app is pending without machines, deployed while one runs, suspended when all are stopped."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            machine = await world.machine()
            await world.advance(2)
            seen = [(await world.call("GET", "/apps/web")).body["status"]]
            await world.call("POST", f"/apps/web/machines/{machine['id']}/stop")
            await world.advance(2)
            seen.append((await world.call("GET", "/apps/web")).body["status"])
            assert seen == ["deployed", "suspended"]

    asyncio.run(scenario())


def test_reset_ends_everything_and_keeps_the_token(fly_world: WorldFactory) -> None:
    """After a reset there is no app and no machine, whatever the clock does, and the token still works."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            await world.machine()
            await world.advance(2)
            await asyncio.wait_for(world.fly.reset(), PATIENCE)
            assert (await world.call("GET", "/apps?org_slug=captionacc")).body["total_apps"] == 0

    asyncio.run(scenario())
