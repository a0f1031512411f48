from __future__ import annotations

import asyncio

from tests.contract.fly_sandbox.conftest import WorldFactory


def test_an_app_is_made_seen_and_deleted(fly_world: WorldFactory) -> None:
    """A created app answers with its organization, and 404 again once deleted."""

    async def scenario() -> None:
        async with fly_world() as world:
            assert (await world.call("GET", "/apps/web")).status == 404
            await world.app("web")
            app = (await world.call("GET", "/apps/web")).body
            assert (app["name"], app["organization"]["slug"], app["status"]) == ("web", "captionacc", "pending")
            assert (await world.call("GET", "/apps?org_slug=captionacc")).body["total_apps"] == 1
            assert (await world.call("DELETE", "/apps/web")).status == 202
            await world.advance(1)
            assert (await world.call("GET", "/apps/web")).status == 404

    asyncio.run(scenario())


def test_a_taken_name_is_422_and_a_strangers_app_403(fly_world: WorldFactory) -> None:
    """App names are global: creating a taken one says name_taken, reading a stranger's says forbidden."""

    async def scenario() -> None:
        async with fly_world() as world:
            world.fly.add_app("theirs", org="somebody-else")
            taken = await world.call("POST", "/apps", {"name": "theirs", "org_slug": "captionacc"})
            assert (taken.status, taken.body["status"]) == (422, "name_taken")
            assert (await world.call("GET", "/apps/theirs")).status == 403
            elsewhere = await world.call("POST", "/apps", {"name": "mine", "org_slug": "somebody-else"})
            assert elsewhere.status == 403

    asyncio.run(scenario())


def test_a_taken_name_can_be_a_409_without_a_word_for_it(fly_world: WorldFactory) -> None:
    """The other edition of the API: a conflict, no `name_taken`, and not the word "taken"."""

    async def scenario() -> None:
        async with fly_world(name_taken_status=409) as world:
            await world.app("web")
            taken = await world.call("POST", "/apps", {"name": "web", "org_slug": "captionacc"})
            assert (taken.status, taken.body) == (409, {"error": "app already exists"})

    asyncio.run(scenario())


def test_a_list_of_secrets_lags_unless_a_version_is_asked_for(fly_world: WorldFactory) -> None:
    """For 2 seconds a write and a removal show only to those who name its version, in the list and one by one."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            first = (await world.call("POST", "/apps/web/secrets", {"values": {"A": "1", "B": "1"}})).body
            await world.advance(3)
            second = (await world.call("POST", "/apps/web/secrets", {"values": {"A": "2", "B": None}})).body["version"]

            async def listed(query: str = "") -> dict[str, str]:
                body = (await world.call("GET", f"/apps/web/secrets{query}")).body
                return {secret["name"]: secret["digest"] for secret in body["secrets"]}

            before = {secret["name"]: secret["digest"] for secret in first["secrets"]}
            now = await listed(f"?min_version={second}")
            assert (set(now), now["A"] != before["A"]) == ({"A"}, True)
            assert await listed(f"?version={second}") == now
            assert await listed() == before
            assert (await world.call("GET", "/apps/web/secrets/B")).status == 200
            assert (await world.call("GET", f"/apps/web/secrets/B?min_version={second}")).status == 404
            await world.advance(2)
            assert await listed() == now
            assert (await world.call("GET", f"/apps/web/secrets?min_version={second + 1}")).status == 412

    asyncio.run(scenario())


def test_tokens_in_every_form_say_what_they_cover(fly_world: WorldFactory) -> None:
    """FlyV1 and Bearer, one or several comma-joined tokens work; a deploy token sees its app and makes none."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            await world.app("other")
            minted = (await world.call("POST", "/apps/web/deploy_token", {"expiry": "1h"})).body["token"]
            assert minted.startswith("FlyV1 ")
            assert (await world.call("GET", "/apps/web", authorization=minted)).status == 200
            assert (await world.call("GET", "/apps/other", authorization=minted)).status == 403
            create = await world.call(
                "POST", "/apps", {"name": "third", "org_slug": "captionacc"}, authorization=minted
            )
            assert create.status == 403
            joined = f"Bearer {minted.removeprefix('FlyV1 ')},{world.fly.token}"
            current = (await world.call("GET", "/tokens/current", authorization=joined)).body["tokens"]
            assert sorted((token["org_slug"], tuple(token["apps"])) for token in current) == [
                ("captionacc", ()),
                ("captionacc", ("web",)),
            ]
            for wrong in ("", "Bearer nonsense", world.fly.token):
                refused = await world.call("GET", "/tokens/current", authorization=wrong)
                assert refused.status == 401
                assert refused.headers["fly-request-id"]

    asyncio.run(scenario())


def test_addresses_are_assigned_listed_and_released(fly_world: WorldFactory) -> None:
    """An address is its own key; a second shared one and an unknown kind are refused."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web", "v6", "shared_v4")
            listed = (await world.call("GET", "/apps/web/ip_assignments")).body["ips"]
            assert [address["shared"] for address in listed] == [False, True]
            assert (await world.call("POST", "/apps/web/ip_assignments", {"type": "shared_v4"})).status == 422
            assert (await world.call("POST", "/apps/web/ip_assignments", {"type": "v5"})).status == 400
            gone = f"/apps/web/ip_assignments/{listed[0]['ip']}"
            assert [(await world.call("DELETE", gone)).status for _ in range(2)] == [204, 404]

    asyncio.run(scenario())


def test_bulk_secrets_set_and_unset_and_never_show_values(fly_world: WorldFactory) -> None:
    """Null unsets, an absent name is no error, the version grows with every call, and values never come back."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            first = (await world.call("POST", "/apps/web/secrets", {"values": {"A": "one", "B": "two"}})).body
            digests = {secret["name"]: secret["digest"] for secret in first["secrets"]}
            assert (first["version"], first["Version"], sorted(digests)) == (1, 1, ["A", "B"])
            second = (await world.call("POST", "/apps/web/secrets", {"values": {"A": None, "C": None}})).body
            assert (second["version"], [secret["name"] for secret in second["secrets"]]) == (2, ["B"])
            again = (await world.call("POST", "/apps/web/secrets", {"values": {"B": "two"}})).body
            assert (again["version"], again["secrets"][0]["digest"]) == (3, digests["B"])
            shown = await world.call("GET", "/apps/web/secrets?show_secrets=true")
            assert "two" not in str(shown.body)
            assert (await world.call("GET", "/apps/web/secrets?min_version=4")).status == 412
            assert (await world.call("POST", "/apps/web/secrets", {"values": {"D": 1}})).status == 400
            assert (await world.call("POST", "/apps/web/secrets/E", {"value": "x"})).status == 201
            assert (await world.call("DELETE", "/apps/web/secrets/E")).body["version"] == 5
            assert (await world.call("DELETE", "/apps/web/secrets/E")).status == 404

    asyncio.run(scenario())


def test_secrets_reach_a_machine_only_when_it_is_made_or_updated(fly_world: WorldFactory) -> None:
    """A restart keeps the old values; an update brings the asked version; without asking, fresh ones may be missing."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            await world.call("POST", "/apps/web/secrets", {"values": {"A": "old"}})
            early = await world.machine(name="early")
            asked = await world.machine(name="asked", min_secrets_version=1)
            await world.advance(5)
            await world.call("POST", "/apps/web/secrets", {"values": {"A": "new"}})
            await world.call("POST", f"/apps/web/machines/{asked['id']}/restart")
            await world.advance(5)
            update = {"config": asked["config"], "min_secrets_version": 2}
            await world.call("POST", f"/apps/web/machines/{asked['id']}", update)
            await world.advance(5)
            seen = [(launch.machine_id, launch.environment.get("A")) for launch in world.emulated.launches]
            assert seen == [(early["id"], None), (asked["id"], "old"), (asked["id"], "old"), (asked["id"], "new")]
            future = await world.call(
                "POST", "/apps/web/machines", {"config": asked["config"], "min_secrets_version": 9}
            )
            assert future.status == 400

    asyncio.run(scenario())
