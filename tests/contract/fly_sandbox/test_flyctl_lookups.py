"""What people look at with flyctl around a deployment, call by call as flyctl 0.4.80 makes them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.fly_sandbox.conftest import Reply, World, WorldFactory

_CREATE_TOKEN = """
mutation CreateLimitedAccessToken(
  $name: String!, $organizationId: ID!, $profile: String!, $profileParams: JSON, $expiry: String!
) {
  createLimitedAccessToken(input: {
    name: $name, organizationId: $organizationId, profile: $profile, profileParams: $profileParams, expiry: $expiry
  }) { limitedAccessToken { tokenHeader } }
}
"""
_APP_TOKENS = """
query ($appName: String!) {
  appLimitedAccessTokens: app(name: $appName) {
    limitedAccessTokens { nodes { id name token expiresAt revokedAt user { email } } }
  }
}
"""
_REVOKE = "mutation($input:DeleteLimitedAccessTokenInput!) { deleteLimitedAccessToken(input: $input) { token } }"
_ORGANIZATION = """
query($slug: String!) {
  organizationdetails: organization(slug: $slug) {
    slug type viewerRole remoteBuilderApp { name }
    members { edges { cursor node { id name email } joinedAt role } }
  }
}
"""


async def ask(world: World, query: str, authorization: str | None = None, **variables: Any) -> Reply:
    """Send a GraphQL query."""
    body = {"query": query, "variables": variables}
    return await world.call("POST", "/graphql", body, api=True, authorization=authorization)


def test_a_token_of_an_app_is_made_listed_used_and_revoked(fly_world: WorldFactory) -> None:
    """`tokens create deploy` mints a token of that app alone; its value is shown once; revoked, it opens nothing."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            await world.app("other")
            wanted: dict[str, Any] = {"name": "ci", "organizationId": "captionacc", "expiry": ""}
            wanted["profileParams"] = {"app_id": "web"}
            made = await ask(world, _CREATE_TOKEN, profile="deploy", **wanted)
            header = made.body["data"]["createLimitedAccessToken"]["limitedAccessToken"]["tokenHeader"]
            assert (await world.call("GET", "/apps/web", authorization=header)).status == 200
            assert (await world.call("GET", "/apps/other", authorization=header)).status == 403
            refused = await ask(world, _CREATE_TOKEN, header, profile="deploy_organization", **wanted)
            assert refused.body["data"]["createLimitedAccessToken"] is None
            listed = (await ask(world, _APP_TOKENS, appName="web")).body["data"]["appLimitedAccessTokens"]
            (token,) = listed["limitedAccessTokens"]["nodes"]
            assert (token["name"], token["token"]) == ("ci", "")
            await ask(world, _REVOKE, input={"id": token["id"]})
            assert (await world.call("GET", "/apps/web", authorization=header)).status == 401

    asyncio.run(scenario())


def test_an_organization_shows_its_members_and_tokens(fly_world: WorldFactory) -> None:
    """`orgs show` and `tokens list -o` answer for the caller's organization and refuse another."""

    async def scenario() -> None:
        async with fly_world() as world:
            page = (await ask(world, _ORGANIZATION, slug="captionacc")).body["data"]["organizationdetails"]
            assert [edge["role"] for edge in page["members"]["edges"]] == ["ADMIN"]
            tokens = "query ($slug: String!) { organization(slug: $slug) { limitedAccessTokens { nodes { name } } } }"
            mine = (await ask(world, tokens, slug="captionacc")).body["data"]["organization"]["limitedAccessTokens"]
            assert mine == {"nodes": [{"name": "sandbox"}]}
            assert (await ask(world, _ORGANIZATION, slug="somebody-else")).body["data"] == {"organizationdetails": None}

    asyncio.run(scenario())


@pytest.mark.parametrize(("path", "empty"), [("certificates?limit=50", "certificates"), ("volumes", "")])
def test_what_an_app_here_never_has_is_an_empty_list(fly_world: WorldFactory, path: str, empty: str) -> None:
    """Certificates and volumes are answered, empty, for an app that is there, and are a 404 for one that is not."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            body = (await world.call("GET", f"/apps/web/{path}")).body
            assert (body[empty] if empty else body) == []
            assert (await world.call("GET", f"/apps/nobody/{path}")).status == 404

    asyncio.run(scenario())


def test_the_regions_listed_are_those_that_machines_can_be_in(fly_world: WorldFactory) -> None:
    """`platform regions` has names and places, and a machine is refused in a region that is not listed."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            reply = (await world.call("GET", "/platform/regions")).body
            codes = {region["code"] for region in reply["regions"]}
            assert reply["nearest"] in codes
            assert all(region["name"] and region["geo_region"] for region in reply["regions"])
            assert {"ewr", "fra", "syd"} <= codes
            config = {"image": "registry.example.com/web:1"}
            body = {"region": "xyz", "config": config}
            assert (await world.call("POST", "/apps/web/machines", body)).status == 422

    asyncio.run(scenario())


def test_a_machine_has_log_lines_before_its_program_prints_any(fly_world: WorldFactory) -> None:
    """`logs --no-tail` ends with its first lines: there is one of the platform's for every machine that was booted."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            machine = await world.machine()
            await world.advance(2)
            await world.call("DELETE", f"/apps/web/machines/{machine['id']}?force=true")
            await world.advance(2)
            assert (await world.show(machine))["state"] == "destroyed"
            page = await world.call("GET", f"/api/v1/apps/web/logs?instance={machine['id']}", api=True)
            first = page.body["data"][0]["attributes"]
            assert first["message"].startswith("Pulling container image")
            assert first["meta"]["event"]["provider"] == "runner"

    asyncio.run(scenario())


def test_releases_are_noted_and_finished(fly_world: WorldFactory) -> None:
    """POST releases numbers them, PATCH sets their status, and the current one is the newest."""

    async def scenario() -> None:
        async with fly_world() as world:
            await world.app("web")
            assert (await world.call("GET", "/api/v1/apps/web/releases/current", api=True)).status == 404
            for version in (1, 2):
                body = {"app_name": "web", "image": "web:1", "strategy": "ROLLING", "definition": {"app": "web"}}
                made = await world.call("POST", "/api/v1/releases", body, api=True)
                assert (made.status, made.body["release"]["version"]) == (201, version)
            path = f"/api/v1/releases/{made.body['release']['id']}"
            assert (await world.call("PATCH", path, {"status": "complete"}, api=True)).status == 200
            current = (await world.call("GET", "/api/v1/apps/web/releases/current", api=True)).body
            assert (current["version"], current["status"], current["in_progress"]) == (2, "complete", False)
            assert (await world.call("GET", "/api/v1/organizations/captionacc", api=True)).body["slug"] == "captionacc"
            assert (await world.call("GET", "/api/v1/organizations/somebody-else", api=True)).status == 403

    asyncio.run(scenario())
