"""The emulated GitHub keeps secrets and variables: sealed, named, apart by place."""

from __future__ import annotations

import base64

import pytest

from tests.sandbox.sandbox.github.caller import REPO, Caller, run


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
def test_secret_is_really_sealed(prefix: str) -> None:
    """A sealed value can be opened again; new is 201, changed is 204 and moves updated_at, gone is 404."""

    async def test(github: Caller) -> None:
        place = f"{prefix}{REPO}/actions/secrets"
        assert (await github.call("PUT", f"{place}/prefect_api_key", await github.seal("first", place)))[0] == 201
        _, before = await github.call("GET", f"{place}/PREFECT_API_KEY")
        assert (await github.call("PUT", f"{place}/PREFECT_API_KEY", await github.seal("second", place)))[0] == 204
        _, after = await github.call("GET", f"{place}/PREFECT_API_KEY")
        assert after["updated_at"] > before["updated_at"]
        assert github.service.state.secret("captionacc/captionacc", "PREFECT_API_KEY") == "second"
        assert (await github.call("GET", place))[1]["total_count"] == 1
        assert "second" not in str((await github.call("GET", place))[1])
        assert (await github.call("DELETE", f"{place}/PREFECT_API_KEY"))[0] == 204
        assert (await github.call("DELETE", f"{place}/PREFECT_API_KEY"))[0] == 404
        assert (await github.call("GET", f"{place}/PREFECT_API_KEY"))[0] == 404

    run(test)


def test_bad_secrets_are_refused() -> None:
    """A wrong key id, a box for another key, a reserved name and no value are 422, and nothing is kept."""

    async def test(github: Caller) -> None:
        place = f"{REPO}/actions/secrets"
        body = await github.seal("value")
        for name, change in (
            ("A", {"key_id": "1"}),
            ("A", {"encrypted_value": base64.b64encode(b"x" * 60).decode()}),
            ("A", {"encrypted_value": "not base64!"}),
            ("A", {"encrypted_value": ""}),
            ("GITHUB_A", {}),
            ("A-B", {}),
        ):
            assert (await github.call("PUT", f"{place}/{name}", body | change))[0] == 422
        assert (await github.call("GET", place))[1]["total_count"] == 0

    run(test)


def test_environment_secrets_are_apart() -> None:
    """An environment has a key and secrets of its own, reachable by repository name and by number."""

    async def test(github: Caller) -> None:
        place = f"{REPO}/environments/production/secrets"
        assert (await github.call("GET", f"{place}/public-key"))[0] == 404
        assert (await github.call("PUT", f"{REPO}/environments/production"))[0] == 200
        number = (await github.call("GET", REPO))[1]["id"]
        assert isinstance(number, int)
        by_number = f"/api/v3/repositories/{number}/environments/production/secrets"
        assert (await github.call("PUT", f"{by_number}/A", await github.seal("of production", place)))[0] == 201
        assert (await github.call("PUT", f"{place}/B", await github.seal("of the repository")))[0] == 422
        assert github.service.state.secret("captionacc/captionacc", "A", "production") == "of production"
        assert github.service.state.secret("captionacc/captionacc", "A") is None

    run(test)


def test_variables() -> None:
    """A variable is created once, changed, read back and removed."""

    async def test(github: Caller) -> None:
        place = f"{REPO}/actions/variables"
        assert (await github.call("POST", place, {"name": "A", "value": "1"}))[0] == 201
        assert (await github.call("POST", place, {"name": "A", "value": "1"}))[0] == 409
        assert (await github.call("PATCH", f"{place}/A", {"value": "2"}))[0] == 204
        assert (await github.call("GET", f"{place}/A"))[1]["value"] == "2"
        assert (await github.call("DELETE", f"{place}/A"))[0] == 204
        assert (await github.call("GET", f"{place}/A"))[0] == 404

    run(test)
