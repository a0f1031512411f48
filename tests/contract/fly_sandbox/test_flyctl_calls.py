from __future__ import annotations

import asyncio
from typing import Any

from tests.contract.fly_sandbox.conftest import Reply, World, WorldFactory

_ADDRESSES = """
query ($appName: String!) {
  app(name: $appName) {
    ipAddresses { nodes { id address type region createdAt network { name organization { slug } } serviceName } }
    sharedIpAddress
  }
}
"""
_COMPACT = """
query ($appName: String!) {
  appcompact:app(name: $appName) { id internalNumericId organization { slug } postgresAppRole: role { name } }
}
"""
_IMAGE = """
query ResolveImageForApp ($appName: String!, $imageRef: String!) {
  app(name: $appName) { id image(ref: $imageRef) { id digest ref compressedSize: compressedSizeFull manifest } }
}
"""
_ALLOCATE = """
mutation($input: AllocateIPAddressInput!) { allocateIpAddress(input: $input) { ipAddress { address type } } }
"""
_RELEASE = """
mutation($input: ReleaseIPAddressInput!) { releaseIpAddress(input: $input) { clientMutationId } }
"""


async def ask(world: World, query: str, **variables: Any) -> Reply:
    """Send a GraphQL query."""
    return await world.call("POST", "/graphql", {"query": query, "variables": variables}, api=True)


def test_graphql_answers_the_queries_of_flyctl_with_their_aliases(fly_world: WorldFactory) -> None:
    """Addresses, the compact app and an image's digest come back under the names the query asked for."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web", "v6", "shared_v4")
            app = (await ask(world, _ADDRESSES, appName="web")).body["data"]["app"]
            assert [node["type"] for node in app["ipAddresses"]["nodes"]] == ["v6"]
            assert app["sharedIpAddress"] == "66.241.125.7"
            compact = (await ask(world, _COMPACT, appName="web")).body["data"]["appcompact"]
            assert compact["organization"] == {"slug": "captionacc"}
            assert (isinstance(compact["internalNumericId"], int), compact["postgresAppRole"]) == (True, None)
            image = (await ask(world, _IMAGE, appName="web", imageRef="registry.example.com/web:1")).body["data"]
            assert image["app"]["image"]["digest"].startswith("sha256:")

    asyncio.run(scenario())


def test_graphql_says_what_it_does_not_know_and_whom_it_does_not_serve(fly_world: WorldFactory) -> None:
    """An unknown field is a 501 that names it; a missing or a stranger's app an error in GraphQL's own form."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            world.fly.add_app("theirs", org="somebody-else")
            unknown = await ask(world, '{ app(name: "web") { moonPhase } }')
            assert (unknown.status, "query.app.moonPhase" in unknown.body["error"]) == (501, True)
            missing = await ask(world, _COMPACT, appName="nobody")
            assert missing.body["errors"][0]["message"] == "Could not find App"
            assert missing.body["errors"][0]["extensions"]["code"] == "NOT_FOUND"
            foreign = await ask(world, _COMPACT, appName="theirs")
            assert (foreign.status, foreign.body["data"]) == (200, {"appcompact": None})
            broken = await ask(world, "query { app(")
            assert broken.body["errors"][0]["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"

    asyncio.run(scenario())


def test_graphql_mutations_change_the_same_addresses_as_the_machines_api(fly_world: WorldFactory) -> None:
    """An address allocated by GraphQL is listed by REST and can be released by GraphQL."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            made = await ask(world, _ALLOCATE, input={"appId": "web", "type": "v6"})
            ip = made.body["data"]["allocateIpAddress"]["ipAddress"]["address"]
            listed = (await world.call("GET", "/apps/web/ip_assignments")).body["ips"]
            assert [address["ip"] for address in listed] == [ip]
            await ask(world, _RELEASE, input={"appId": "web", "ip": ip})
            assert (await world.call("GET", "/apps/web/ip_assignments")).body["ips"] == []

    asyncio.run(scenario())
