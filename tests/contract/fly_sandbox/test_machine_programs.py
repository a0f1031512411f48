from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.fly_sandbox.conftest import WorldFactory


def test_a_machine_that_cannot_boot_has_failed(fly_world: WorldFactory) -> None:
    """A boot error ends in the state failed, with an event and a log line that say why."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            world.emulated.script(boot_error="exec format error")
            machine = await world.machine()
            await world.advance(2)
            shown = await world.show(machine)
            assert shown["state"] == "failed"
            assert "exec format error" in str(shown["events"][0])
            assert "exec format error" in world.fly.logs.text("web", machine["id"])

    asyncio.run(scenario())


def test_restart_policy_on_failure_gives_up_after_its_retries(fly_world: WorldFactory) -> None:
    """A crashing program is booted once and max_retries times more, then the machine stays stopped."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            script = world.emulated.script(exit_code=3)
            machine = await world.machine(config={"restart": {"policy": "on-failure", "max_retries": 2}})
            await world.advance(60)
            shown = await world.show(machine)
            assert (shown["state"], script.boots) == ("stopped", 3)
            exits = [event["request"] for event in shown["events"] if event["type"] == "exit"]
            assert [item["exit_event"]["restarting"] for item in exits] == [False, True, True]
            assert exits[0]["restart_count"] == 2
            assert "max restart count of 2" in world.fly.logs.text("web")

    asyncio.run(scenario())


@pytest.mark.parametrize(("policy", "boots"), [("no", 1), ("on-failure", 1), ("always", 3)])
def test_a_clean_exit_is_restarted_only_by_always(fly_world: WorldFactory, policy: str, boots: int) -> None:
    """Exit code 0 ends a machine under no and on-failure; always boots it again."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            ending = world.emulated.script(exit_code=0, times=2)
            machine = await world.machine(config={"restart": {"policy": policy}})
            await world.advance(30)
            shown = await world.show(machine)
            assert ending.boots == min(boots, 2)
            assert len(world.emulated.launches) == boots
            assert shown["state"] == ("started" if policy == "always" else "stopped")

    asyncio.run(scenario())


def test_a_one_off_machine_runs_once_and_leaves_its_exit_event(fly_world: WorldFactory) -> None:
    """skip_launch, start, exit: auto_destroy removes it, yet its exit code and log can still be read."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app()
            world.emulated.script(
                arguments=("migrate",), exit_code=12, exit_after=3.0, lines=("migrate: bad password",)
            )
            config = {"init": {"cmd": ["migrate"]}, "restart": {"policy": "no"}, "auto_destroy": True}
            machine = await world.machine(config=config, skip_launch=True)
            path = f"/apps/web/machines/{machine['id']}"
            assert (await world.call("POST", f"{path}/start")).status == 412
            await world.advance(1)
            assert (await world.call("POST", f"{path}/start")).status == 200
            await world.advance(1)
            assert (await world.show(machine))["state"] == "started"
            await world.advance(5)
            shown = await world.show(machine)
            assert shown["state"] == "destroyed"
            ends = [event for event in shown["events"] if event["type"] == "exit"]
            assert ends[0]["request"]["exit_event"]["exit_code"] == 12
            logs = await world.call("GET", f"/api/v1/apps/web/logs?instance={machine['id']}", api=True)
            assert "migrate: bad password" in [line["attributes"]["message"] for line in logs.body["data"]]
            token = logs.body["meta"]["next_token"]
            more = await world.call("GET", f"/api/v1/apps/web/logs?next_token={token}", api=True)
            assert (more.body["data"], more.body["meta"]["next_token"]) == ([], token)

    asyncio.run(scenario())


def test_a_mistake_of_the_sandbox_shows_as_a_failed_machine(
    fly_world: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception while booting is reported and leaves the machine failed instead of starting for ever."""
    reported: list[Any] = []

    async def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        async with fly_world() as world:
            await world.app()
            monkeypatch.setattr(world.emulated, "boot", broken)
            machine = await world.machine()
            await world.advance(2)
            assert (await world.show(machine))["state"] == "failed"

    asyncio.run(scenario())
    assert [str(problem) for problem in reported] == ["a bug"]
