"""What becomes of `logins`: entries on the server, outputs for people, and a warning for who is over."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pulumi
import pytest

import settings
from components.stack import warn_of_old_logins
from tests.support.recording import Program, run_program
from tests.support.stack_config import flat_config

OWN = hashlib.sha256(b"made-by-otto").hexdigest()
LOGINS = [
    "admin",
    {"name": "anna", "rights": "viewer", "expires": "2097-01-31"},
    {"name": "otto", "rights": "operator", "sha256": OWN},
]


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(flat_config(logins=LOGINS, keys={"current": 2, "accepted": [1, 2]}))


def test_logins_reach_the_server_with_rights_and_end(program: Program) -> None:
    """A bare name is a hash, a group says rights and end in each generation; the program's check only looks."""
    secrets = program.one("pulumi-python:dynamic/fly:Secrets", "acme-prefect-keys").inputs["values"]
    ring = json.loads(secrets["PREFECT_FLY_API_KEYS"])
    assert isinstance(ring["admin"], str)
    assert isinstance(ring["orchestrator.2"], str)
    for name in ("anna", "anna.2"):
        assert (ring[name]["rights"], ring[name]["expires"]) == ("viewer", "2097-01-31T00:00:00Z")
    assert ring["anna"]["sha256"] != ring["anna.2"]["sha256"]
    assert ring["verify"]["rights"] == ring["verify.2"]["rights"] == "viewer"
    assert program.exports["keyNames"] == sorted(ring)


def test_a_key_that_its_owner_made_is_nowhere(program: Program) -> None:
    """The server gets the given hash under the bare name; no key of ours is made, and none is in the outputs."""
    secrets = program.one("pulumi-python:dynamic/fly:Secrets", "acme-prefect-keys").inputs["values"]
    ring = json.loads(secrets["PREFECT_FLY_API_KEYS"])
    assert ring["otto"] == {"sha256": [OWN], "rights": "operator"}
    assert not [item.name for item in program.of("pulumi-python:dynamic/credentials:ApiKey") if "otto" in item.name]
    assert program.exports["uiLoginKeys"].keys() == {"admin", "anna"}
    assert program.exports["uiLogin"] == program.exports["uiLoginKeys"]["admin"]
    assert {"uiLogin", "uiLoginKeys"} <= program.secret_exports


def test_the_table_says_who_may_log_in_and_how(program: Program) -> None:
    """Address, name, rights, end and the way to the key; no key."""
    assert "uiLogins" not in program.secret_exports
    address, head, *rows = program.exports["uiLogins"].splitlines()
    assert address == "https://acme-prefect.fly.dev/"
    assert head.split() == ["login", "rights", "expires", "log", "in", "with"]
    assert [row.split(maxsplit=3) for row in rows] == [
        ["admin", "admin", "never", "python -m ops login dev --login admin"],
        ["anna", "viewer", "2097-01-31T00:00:00Z", "python -m ops login dev --login anna"],
        ["otto", "operator", "never", "otto:<the key that otto made>"],
    ]
    assert "pf_" not in program.exports["uiLogins"]


def test_who_is_over_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops no `up`, since a stack outlives its logins; from the second on it is said, with what to do."""
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    tree = settings.parse(flat_config(logins=LOGINS), stack="dev", owner="0" * 12, root=tmp_path)
    warn_of_old_logins(tree, datetime(2097, 1, 30, 23, 59, 59, tzinfo=UTC))
    assert said == []
    warn_of_old_logins(tree, datetime(2097, 1, 31, tzinfo=UTC))
    assert said == [
        'the login "anna" expired at 2097-01-31T00:00:00Z, and the server refuses it. '
        "Take it out of logins, or give it a later date"
    ]
