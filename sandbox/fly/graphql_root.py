"""The objects flyctl asks api.fly.io's GraphQL for: apps, organizations, addresses, images.

Shapes: the queries in superfly/fly-go (`resource_*.go`), read at v0.9.6.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from sandbox.fly.calls import Calls
from sandbox.fly.errors import NotFound
from sandbox.fly.graphql_tokens import AccessTokens, user
from sandbox.fly.models import Address, App, Machine, Token
from sandbox.fly.regions import nearest_region
from sandbox.fly.wire import app_json, organization_number
from sandbox.machines.driver import ImageNotFoundError


class Root:
    """What one caller may ask."""

    def __init__(self, calls: Calls, tokens: list[Token]) -> None:
        self._calls = calls
        self._state = calls.state
        self._tokens = tokens
        self._access = AccessTokens(calls.state, calls.clock, tokens)

    def object(self) -> Mapping[str, Any]:
        """Return the fields of the schema's `Queries` and `Mutations`."""
        return {
            "allocateIpAddress": self._allocate_address,
            "releaseIpAddress": self._release_address,
            "deleteApp": self._delete_app,
            "createLimitedAccessToken": self._access.create,
            "deleteLimitedAccessToken": self._access.delete,
            "app": self._app,
            "apps": self._apps,
            "appNameAvailable": lambda name: name not in self._state.apps,
            "organization": self._organization,
            "organizations": self._organizations,
            "viewer": {"__typename": "User", **user(self._tokens[0].user)},
            "addOns": _nothing,
            "latestImageDetails": self._latest_image,
            "nearestRegion": lambda **_: nearest_region(),
        }

    def _app(self, name: str = "", internalId: str = "") -> Mapping[str, Any]:  # noqa: N803 - GraphQL's spelling
        return self._app_object(self._state.app(self._tokens, name or internalId))

    def _apps(self, organizationId: str | None = None, **_: Any) -> Mapping[str, Any]:  # noqa: N803 - GraphQL's spelling
        seen = [
            self._app_object(app)
            for app in self._state.apps.values()
            if any(token.covers(app.org, app.name) for token in self._tokens) and organizationId in {None, app.org}
        ]
        return {"nodes": seen, "pageInfo": {"hasNextPage": False, "endCursor": ""}}

    def _organizations(self, **_: Any) -> Mapping[str, Any]:
        return {"nodes": [self._organization(slug=org) for org in sorted({token.org for token in self._tokens})]}

    def _organization(self, slug: str = "", **_: Any) -> Mapping[str, Any]:
        if not any(token.org == slug for token in self._tokens):
            raise NotFound("Could not find Organization")
        return {
            "id": slug,
            "internalNumericId": str(organization_number(slug)),
            "slug": slug,
            "rawSlug": slug,
            "name": slug,
            "type": "SHARED",
            "paidPlan": True,
            "billable": True,
            "viewerRole": "admin",
            "remoteBuilderImage": "",
            "remoteBuilderApp": None,
            "members": lambda **_: {"edges": [self._member()]},
            "limitedAccessTokens": lambda **_: self._access.of_organization(slug),
            "addOns": _nothing,
        }

    def _member(self) -> dict[str, Any]:
        joined = self._calls.clock.rfc3339(0.0)
        return {"cursor": "MQ", "joinedAt": joined, "node": user(self._tokens[0].user), "role": "ADMIN"}

    def _app_object(self, app: App) -> dict[str, Any]:
        shared = [address.ip for address in app.addresses if address.shared]
        nodes = [self._address(address) for address in app.addresses if not address.shared]
        hostname = f"{app.name}.fly.dev"
        return {
            "id": app.name,
            "internalNumericId": app.numeric_id,
            "name": app.name,
            "hostname": hostname,
            "cnameTarget": hostname,
            "appUrl": self._calls.edge.url_of(app.name),
            "deployed": bool(app.live_machines),
            "status": app_json(app)["status"],
            "network": app.network,
            "platformVersion": "machines",
            "version": len(app.releases),
            "organization": self._organization(slug=app.org),
            "role": None,
            "config": {"definition": {}},
            "currentRelease": self._release(app),
            "currentReleaseUnprocessed": self._release(app),
            "ipAddresses": lambda **_: {"nodes": nodes},
            "sharedIpAddress": shared[0] if shared else "",
            "egressIpAddresses": _nothing,
            "machines": lambda **_: {"nodes": [self._machine(app, machine) for machine in app.live_machines]},
            "services": [],
            "imageDetails": None,
            "releasesUnprocessed": functools.partial(self._releases, app),
            "image": self._image,
            "certificates": _nothing,
            "limitedAccessTokens": lambda **_: self._access.of_app(app),
            "addOns": _nothing,
        }

    def _machine(self, app: App, machine: Machine) -> dict[str, Any]:
        address = {"family": "v6", "kind": "privatenet", "ip": machine.private_ip, "maskSize": 112}
        return {
            "id": machine.id,
            "name": machine.name,
            "config": machine.config,
            "state": machine.state,
            "region": machine.region,
            "createdAt": self._calls.clock.rfc3339(machine.created_at),
            "app": lambda: self._app_object(app),
            "ips": lambda **_: {"nodes": [address]},
            "host": {"id": "sandbox"},
            "egressIpAddresses": _nothing,
        }

    def _release(self, app: App) -> dict[str, Any] | None:
        return self._release_object(app.releases[0]) if app.releases else None

    def _releases(self, app: App, first: int | None = None, **_: Any) -> Mapping[str, Any]:
        return {"nodes": [self._release_object(release) for release in app.releases[:first]]}

    @staticmethod
    def _release_object(release: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": release["id"],
            "evaluationId": release["id"],
            "version": release["version"],
            "description": "Release",
            "reason": "",
            "status": release["status"],
            "stable": release["stable"],
            "inProgress": release["in_progress"],
            "user": user(release["user"]),
            "createdAt": release["created_at"],
            "imageRef": release["image_ref"],
            "configDefinition": release.get("definition") or {},
        }

    @staticmethod
    def _latest_image(**_: Any) -> Mapping[str, Any]:
        # What Fly says of every image that is not one of its own.
        raise NotFound("Unknown repository")

    def _address(self, address: Address) -> dict[str, Any]:
        return {
            "id": address.ip,
            "address": address.ip,
            "type": address.kind,
            "region": address.region,
            "createdAt": self._calls.clock.rfc3339(address.created_at),
            "network": None,
            "serviceName": "",
        }

    async def _image(self, ref: str) -> Mapping[str, Any] | None:
        try:
            digest = await self._calls.fleet.around.driver.resolve(ref)
        except ImageNotFoundError:
            return None
        sizes = {"compressedSize": 1_000_000, "compressedSizeFull": "1000000"}
        return {"id": digest, "digest": digest, "ref": ref, "manifest": {}, **sizes}

    def _allocate_address(self, input: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: A002 - GraphQL's argument
        app = self._state.app(self._tokens, str(input.get("appId")))
        kind = str(input.get("type"))
        present = next((address for address in app.addresses if address.shared), None)
        address = present if kind == "shared_v4" and present else self._state.add_address(app, kind)
        self._calls.edge.refresh(app.name)
        return {"ipAddress": self._address(address), "app": self._app_object(app), "clientMutationId": None}

    def _release_address(self, input: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: A002 - GraphQL's argument
        app = self._state.app(self._tokens, str(input.get("appId")))
        wanted = {input.get("ip"), input.get("ipAddressId")}
        address = next((address for address in app.addresses if address.ip in wanted), None)
        if address is None:
            raise NotFound("Could not find IpAddress")
        app.addresses.remove(address)
        self._calls.edge.refresh(app.name)
        return {"app": self._app_object(app), "clientMutationId": None}

    def _delete_app(self, appId: str) -> Mapping[str, Any]:  # noqa: N803 - GraphQL's spelling
        app = self._state.app(self._tokens, appId)
        self._calls.deletions.begin(app)
        return {"organization": self._organization(slug=app.org)}


def _nothing(**_: Any) -> Mapping[str, Any]:
    """Answer a connection that is always empty here."""
    return {"nodes": []}
