"""The emulated GitHub treats names as GitHub does: in any case, and old ones lead to where the repository is."""

from __future__ import annotations

import aiohttp
import pytest

from sandbox.github.state import GitHubState
from tests.sandbox.sandbox.github.caller import REPO, TOKEN, Caller, run


def test_the_case_of_a_name_does_not_matter() -> None:
    """Owner, repository, environment and secret are found in any case, and answered as they were made."""

    async def test(github: Caller) -> None:
        shouted = "/repos/CaptionACC/CAPTIONACC"
        _, repository = await github.call("GET", shouted)
        assert repository["full_name"] == "captionacc/captionacc"
        await github.call("PUT", f"{REPO}/environments/Production")
        place = f"{shouted}/environments/production/secrets"
        assert (await github.call("PUT", f"{place}/key", await github.seal("v", place)))[0] == 201
        assert (await github.call("GET", f"{REPO}/environments/PRODUCTION/secrets/KEY"))[0] == 200
        _, again = await github.call("PUT", f"{REPO}/environments/PRODUCTION")
        assert again["name"] == "Production"
        _, owner = await github.call("GET", "/orgs/CAPTIONACC")
        assert owner["login"] == "captionacc"

    run(test)


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
@pytest.mark.parametrize("to", ["captionacc/renamed", "somebody-else/captionacc"])
def test_an_old_name_redirects_to_the_repository(prefix: str, to: str) -> None:
    """A GET under the old name is a 301 and any other call a 307, both to the repository's number, query included."""

    async def test(github: Caller) -> None:
        state = github.service.state
        number = state.move("captionacc/captionacc", to).id
        headers = {"Authorization": f"Bearer {TOKEN}"}
        for method, tail, status in (
            ("GET", "", 301),
            ("GET", "/actions/secrets?per_page=2", 301),
            ("DELETE", "/actions/secrets/KEY", 307),
            ("POST", "/actions/workflows/deploy.yml/dispatches", 307),
        ):
            url = f"{github.service.url}{prefix}{REPO}{tail}"
            async with github.session.request(method, url, headers=headers, allow_redirects=False) as answer:
                wanted = f"{github.service.url}{prefix}/repositories/{number}{tail}"
                assert (answer.status, answer.headers["Location"]) == (status, wanted)
        assert (await github.call("GET", f"{prefix}/repos/{to}"))[1]["id"] == number

    run(test)


def test_a_client_that_follows_redirects_writes_to_the_moved_repository() -> None:
    """A secret put under the old name arrives, body and all, and a dispatch starts one run."""

    async def test(github: Caller) -> None:
        github.service.state.move("captionacc/captionacc", "captionacc/renamed")
        sealed = await github.seal("value")
        assert (await github.call("PUT", f"{REPO}/actions/secrets/KEY", sealed))[0] == 201
        assert github.service.state.secret("captionacc/renamed", "KEY") == "value"
        dispatch = f"{REPO}/actions/workflows/deploy.yml/dispatches"
        assert (await github.call("POST", dispatch, {"ref": "main"}))[0] == 204
        assert len(github.service.state.repository("captionacc/renamed").runs) == 1

    run(test)


def test_a_new_repository_of_the_old_name_ends_the_redirect() -> None:
    """Whoever takes the old name is answered for it; the moved repository keeps its number and its secrets."""
    state = GitHubState()
    moved = state.add_repository("captionacc", "captionacc")
    assert state.move("captionacc/captionacc", "captionacc/renamed") is moved
    other = state.add_repository("captionacc", "captionacc")
    assert (state.moved, state.repository("captionacc/captionacc").id) == ({}, other.id)
    loaded = GitHubState()
    state.move("captionacc/captionacc", "captionacc/third")
    loaded.load(state.dump())
    assert loaded.moved == {"captionacc/captionacc": other.id}


def test_a_repository_is_moved_by_a_control_call() -> None:
    """POST /_sandbox/github/move renames; an unknown repository is a 400."""

    async def test(github: Caller) -> None:
        url = f"{github.service.url}/_sandbox/github/move"
        body = {"repository": "captionacc/captionacc", "to": "captionacc/renamed"}
        async with aiohttp.ClientSession() as session:
            async with session.post(url, json=body) as answer:
                assert (answer.status, (await answer.json())["full_name"]) == (200, "captionacc/renamed")
            async with session.post(url, json=body) as answer:
                assert answer.status == 400

    run(test)
