"""Routes of secrets, variables and environments."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from json import JSONDecodeError
from typing import Any, TypeVar

from aiohttp import web

from sandbox.core.clock import Clock
from sandbox.core.service import read_json
from sandbox.github import errors, query, wire
from sandbox.github.models import Repository, Variable, Vault
from sandbox.github.state import GitHubState

Route = tuple[str, str, Callable[[web.Request], Awaitable[web.Response]]]

REPOSITORY = "/repos/{owner}/{repo}"
NUMBERED = "/repositories/{number}"
"""Where redirects lead, and what go-github's older releases use in calls for environments."""

_Item = TypeVar("_Item")

_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_MAX_BYTES = 48 * 1024


async def body_of(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        aiohttp.web.HTTPBadRequest: it is something else.
    """
    try:
        return await read_json(request)
    except (JSONDecodeError, TypeError, UnicodeDecodeError) as error:
        raise errors.bad_request("Problems parsing JSON") from error


def name_of(request: web.Request) -> str:
    """Return the secret's or variable's name in the path, as GitHub keeps it: in capitals."""
    return checked_name(request.match_info["name"])


def checked_name(given: str) -> str:
    """Return a name in capitals.

    Raises:
        aiohttp.web.HTTPUnprocessableEntity: GitHub does not take such a name.
    """
    name = given.upper()
    if not _NAME.fullmatch(name):
        raise errors.unprocessable(
            "Secret names can only contain alphanumeric characters ([a-z], [A-Z], [0-9]) or underscores (_). "
            "Spaces are not allowed. Must start with a letter ([a-z], [A-Z]) or underscores (_)."
        )
    if name.startswith("GITHUB_"):
        raise errors.unprocessable("Secret names must not start with GITHUB_.")
    return name


class Vaults:
    """Handlers for what a repository and its environments keep."""

    def __init__(self, state: GitHubState, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def routes(self) -> list[Route]:
        """Return method, path below the API's root, and handler."""
        found: list[Route] = []
        for vault in ("/actions/secrets", "/environments/{environment}/secrets"):
            place = f"{REPOSITORY}{vault}"
            found += [
                ("GET", place, self._list_secrets),
                ("GET", f"{place}/public-key", self._public_key),
                ("GET", f"{place}/{{name}}", self._get_secret),
                ("PUT", f"{place}/{{name}}", self._put_secret),
                ("DELETE", f"{place}/{{name}}", self._delete_secret),
            ]
        return [
            *found,
            ("GET", f"{REPOSITORY}/actions/variables", self._list_variables),
            ("POST", f"{REPOSITORY}/actions/variables", self._create_variable),
            ("GET", f"{REPOSITORY}/actions/variables/{{name}}", self._get_variable),
            ("PATCH", f"{REPOSITORY}/actions/variables/{{name}}", self._change_variable),
            ("DELETE", f"{REPOSITORY}/actions/variables/{{name}}", self._delete_variable),
            ("GET", f"{REPOSITORY}/environments", self._list_environments),
            ("GET", f"{REPOSITORY}/environments/{{environment}}", self._get_environment),
            ("PUT", f"{REPOSITORY}/environments/{{environment}}", self._put_environment),
            ("DELETE", f"{REPOSITORY}/environments/{{environment}}", self._delete_environment),
        ]

    def repository(self, request: web.Request) -> Repository:
        """Return the repository that the path names, in whatever case, or by its number.

        Raises:
            aiohttp.web.HTTPRedirection: the name is an old one of a repository that was renamed or transferred.
            aiohttp.web.HTTPNotFound: there is none.
        """
        where = request.match_info
        if "number" in where:
            return self._numbered(where["number"])
        full_name = f"{where['owner']}/{where['repo']}".lower()
        if full_name in self._state.moved:
            moved = self._numbered(str(self._state.moved[full_name]))
            path = request.rel_url.raw_path
            root, _, tail = path.partition(f"/{where['owner']}/{where['repo']}")
            url = request.url.with_path(f"{root.removesuffix('/repos')}/repositories/{moved.id}{tail}", encoded=True)
            raise errors.moved(request.method, str(url.with_query(request.query)))
        if full_name not in self._state.repositories:
            raise errors.not_found()
        return self._state.repositories[full_name]

    def _numbered(self, number: str) -> Repository:
        for each in self._state.repositories.values():
            if number == str(each.id):
                return each
        raise errors.not_found()

    def _vault(self, request: web.Request) -> Vault:
        repository = self.repository(request)
        if "environment" not in request.match_info:
            return repository.vault
        return repository.environments[self._environment(request)]

    def _environment(self, request: web.Request) -> str:
        found = self.repository(request).environment(request.match_info["environment"])
        if found is None:
            raise errors.not_found()
        return found

    async def _list_secrets(self, request: web.Request) -> web.Response:
        return _listed(request, "secrets", self._vault(request).secrets, wire.secret)

    async def _public_key(self, request: web.Request) -> web.Response:
        return web.json_response(wire.public_key(self._vault(request)))

    async def _get_secret(self, request: web.Request) -> web.Response:
        found = self._vault(request).secrets.get(request.match_info["name"].upper())
        if found is None:
            raise errors.not_found()
        return web.json_response(wire.secret(found))

    async def _put_secret(self, request: web.Request) -> web.Response:
        vault, name, body = self._vault(request), name_of(request), await body_of(request)
        sealed = body.get("encrypted_value")
        if not isinstance(sealed, str) or not sealed:
            raise errors.unprocessable('Invalid request.\n\n"encrypted_value" wasn\'t supplied.')
        if body.get("key_id") != vault.key_id:
            raise errors.unprocessable("Public key id does not match the current public key of this repository.")
        try:
            value = vault.open(sealed)
        except ValueError as error:
            raise errors.unprocessable(
                "Bad request - either the value is not base64, or it was not encrypted with the public key."
            ) from error
        if len(value.encode()) > _MAX_BYTES:
            raise errors.unprocessable("Secret value is too large: the limit is 48 KB.")
        new = vault.put(name, value, self._clock.time())
        return web.json_response({}, status=201) if new else web.Response(status=204)

    async def _delete_secret(self, request: web.Request) -> web.Response:
        if self._vault(request).secrets.pop(request.match_info["name"].upper(), None) is None:
            raise errors.not_found()
        return web.Response(status=204)

    async def _list_variables(self, request: web.Request) -> web.Response:
        return _listed(request, "variables", self.repository(request).variables, wire.variable)

    async def _create_variable(self, request: web.Request) -> web.Response:
        variables, body = self.repository(request).variables, await body_of(request)
        name = checked_name(str(body.get("name", "")))
        if name in variables:
            raise errors.conflict("Already exists - Variable already exists")
        now = self._clock.time()
        variables[name] = Variable(name, str(body.get("value", "")), now, now)
        return web.json_response({}, status=201)

    async def _get_variable(self, request: web.Request) -> web.Response:
        return web.json_response(wire.variable(self._variable(request)))

    async def _change_variable(self, request: web.Request) -> web.Response:
        known, body = self._variable(request), await body_of(request)
        known.value = str(body.get("value", known.value))
        known.updated_at = max(self._clock.time(), known.updated_at + 1)
        return web.Response(status=204)

    async def _delete_variable(self, request: web.Request) -> web.Response:
        del self.repository(request).variables[self._variable(request).name]
        return web.Response(status=204)

    def _variable(self, request: web.Request) -> Variable:
        found = self.repository(request).variables.get(request.match_info["name"].upper())
        if found is None:
            raise errors.not_found()
        return found

    async def _list_environments(self, request: web.Request) -> web.Response:
        names = list(self.repository(request).environments)
        shown, headers = query.page(request, names)
        listed = [wire.environment(name, names.index(name) + 1) for name in shown]
        return web.json_response({"total_count": len(names), "environments": listed}, headers=headers)

    async def _get_environment(self, request: web.Request) -> web.Response:
        name = self._environment(request)
        names = list(self.repository(request).environments)
        return web.json_response(wire.environment(name, names.index(name) + 1))

    async def _put_environment(self, request: web.Request) -> web.Response:
        repository, name = self.repository(request), request.match_info["environment"]
        repository.environments.setdefault(repository.environment(name) or name, Vault())
        return await self._get_environment(request)

    async def _delete_environment(self, request: web.Request) -> web.Response:
        del self.repository(request).environments[self._environment(request)]
        return web.Response(status=204)


def _listed(
    request: web.Request, kind: str, items: Mapping[str, _Item], shown: Callable[[_Item], dict[str, Any]]
) -> web.Response:
    """Return a page of items sorted by name, under the name of their kind."""
    page, headers = query.page(request, [items[name] for name in sorted(items)])
    body = {"total_count": len(items), kind: [shown(each) for each in page]}
    return web.json_response(body, headers=headers)
