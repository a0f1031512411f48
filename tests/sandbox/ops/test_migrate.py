"""`migrate` as its Command runs it."""

from __future__ import annotations

from typing import Any

from sandbox.captionacc import ORCHESTRATOR
from tests.sandbox.ops.conftest import Verbs
from tests.support.fly_world import IMAGE


def migrate(verbs: Verbs) -> dict[str, Any] | None:
    flags = ["--server-app", ORCHESTRATOR, "--image", IMAGE, "--region", "ewr", "--owner", "0123456789ab"]
    return verbs.run("migrate", *flags, "--env", "A=b=c", "--min-secrets-version", "1", "--timeout", "60")


def test_migrate_runs_a_machine_that_is_gone_afterwards(verbs: Verbs) -> None:
    """A migration that ends with 0 reports its image and leaves the app's machines as they were."""
    before = list(verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines)
    verbs.sandbox.emulated.script(arguments=("migrate",), exit_code=0, exit_after=0.1)
    assert migrate(verbs) == {"migrated": IMAGE}, verbs.failure
    assert verbs.sandbox.fly.state.apps[ORCHESTRATOR].live_machines == before


def test_a_failed_migration_shows_its_sentence_without_credentials(verbs: Verbs) -> None:
    """Cause by exit code, the image's words, the log's end with the URL's password cut out."""
    lines = ("connecting to postgresql+asyncpg://u:hunter2@db.test/x", "migrate: the role may not create schemas.")
    verbs.sandbox.emulated.script(arguments=("migrate",), lines=lines, exit_code=14, exit_after=0.1)
    assert migrate(verbs) is None
    assert "lacks a privilege: the role may not create schemas (exit code 14)" in verbs.failure
    assert "hunter2" not in verbs.failure
    assert "u:[cut out]@db.test" in verbs.failure


def test_a_failed_migration_says_that_a_new_url_is_staged(verbs: Verbs) -> None:
    """Secrets cannot be put back: when the URL is newer than a running machine, the error warns of it."""
    verbs.sandbox.advance(5)
    verbs.sandbox.fly.set_secrets(
        ORCHESTRATOR, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://u:p@h/d"}
    )
    verbs.sandbox.emulated.script(arguments=("migrate",), exit_code=12, exit_after=0.1)
    assert migrate(verbs) is None
    assert "database URL is already staged" in verbs.failure


def test_a_new_schema_beside_another_prefects_is_said_and_is_no_failure(verbs: Verbs) -> None:
    """Exit code 22 goes on; the image's sentence is shown, with what to do when that history is wanted."""
    line = 'migrate: schema "prefect" is new and empty, and public holds the tables of another Prefect'
    verbs.sandbox.emulated.script(arguments=("migrate",), lines=(line,), exit_code=22, exit_after=0.1)
    assert migrate(verbs) == {"migrated": IMAGE}, verbs.failure
    assert 'Note: schema "prefect" is new and empty' in verbs.progress
    assert "set database.schema to its name" in verbs.progress
