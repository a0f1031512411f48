"""Keys as the engine sees them: what holds them, in which order they get where, and what they do not touch."""

from __future__ import annotations

import hashlib

import pytest

from tests.pure.components.test_graph import COMMAND, GITHUB_SECRET, KEY, KEY_RING, MACHINE, PUBLISHED, SECRETS, ordered
from tests.support.recording import Program, run_program
from tests.support.stack_config import flat_config


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(flat_config())


def test_keys_reach_machines_that_start_later_then_those_that_run_and_only_then_who_uses_them(program: Program) -> None:
    """Ring, secret, machines, publishing, verification, and after that the consumers' secrets."""
    chain = [
        *program.of(KEY_RING),
        program.one(SECRETS, "acme-prefect-keys"),
        program.one(MACHINE, "acme-prefect-ewr-1"),
        *program.of(PUBLISHED),
        program.one(COMMAND, "acme-prefect-verify"),
    ]
    ordered(program, *chain, program.one(SECRETS, "acme-orchestrator"))
    ordered(program, *chain, *program.of(GITHUB_SECRET)[:1])


def test_no_machine_is_updated_for_a_change_of_keys(program: Program) -> None:
    """A machine is told when to start anew by the other secrets alone; the signing secret is one of these."""
    machine, secrets = program.one(MACHINE, "acme-prefect-ewr-1"), program.one(SECRETS, "acme-prefect")
    assert machine.inputs["secrets_fingerprint"] == hashlib.sha256(b"acme-prefect").hexdigest()
    assert set(secrets.inputs["values"]) == {"PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_FLY_KEYS_SIGNING"}


def test_the_server_gets_hashes_and_never_a_key(program: Program) -> None:
    """The server's app holds the keys' hashes by name."""
    values = program.one(SECRETS, "acme-prefect-keys").inputs["values"]
    assert set(values) == {"PREFECT_FLY_API_KEYS", "PREFECT_FLY_KEYS_GENERATION"}
    assert "pf_" not in values["PREFECT_FLY_API_KEYS"]
    for name in ("admin", "github", "orchestrator"):
        assert f'"{name}": "' in values["PREFECT_FLY_API_KEYS"]


def test_rotation_accepts_both_generations_and_hands_out_the_current_one() -> None:
    """With current 2 and accepted [1, 2] the server knows ten keys and the consumers use the new ones."""
    program = run_program(flat_config(keys={"current": 2, "accepted": [1, 2]}))
    assert len(program.of(KEY)) == 10 + 1  # the signing secret
    ours = program.one(SECRETS, "acme-orchestrator").inputs["values"]
    assert ours["PREFECT_API_AUTH_STRING"].startswith("orchestrator.2:")
    assert "--key orchestrator.2 " in program.one(COMMAND, "acme-orchestrator-verify").inputs["create"]
