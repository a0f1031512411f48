"""Tables of our own: made step by step, once each, in a schema beside Prefect's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest
from prefect_server import own_tables  # type: ignore[import-not-found,unused-ignore]

from sandbox.core.ports import free_port
from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.migration import TABLES, Migrate, name_of
from tests.support.prefect_server import database_environment, hashed, run_verb

pytestmark = pytest.mark.prefect

STEPS = {
    "first": "CREATE TABLE {own}.first (id int)",
    "second": "CREATE VIEW {own}.second AS SELECT id FROM {prefect}.flow_run",
}


def bring_up(url: str, steps: dict[str, str]) -> list[str]:
    """Run the steps that are missing on that database."""

    async def run() -> list[str]:
        connection = await asyncpg.connect(url)
        try:
            done: list[str] = await own_tables.bring_up(connection, "prefect", steps)
            assert await own_tables.missing_steps(connection, "prefect", steps) == []
        finally:
            await connection.close()
        return done

    return asyncio.run(run())


def test_each_step_runs_once(postgres: PostgresServer, migrated_database: Callable[[], str]) -> None:
    """Steps run in order, in our schema, and a later image runs only what is new."""
    url = migrated_database()
    assert bring_up(url, {"first": STEPS["first"]}) == ["first"]
    assert bring_up(url, STEPS) == ["second"]
    assert bring_up(url, STEPS) == []
    made = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relname IN ('first', 'second', 'step')"
    where = " AND relnamespace = 'prefect_fly'::regnamespace"
    assert postgres.execute(made + where, name_of(url)) == "first second step"


def test_a_step_that_fails_leaves_nothing(postgres: PostgresServer, migrated_database: Callable[[], str]) -> None:
    """What a failing step began is undone, the steps before it stay, and the next run goes on there."""
    url = migrated_database()
    broken = STEPS | {"second": "CREATE TABLE {own}.half (id int); SELECT 1 / 0"}
    with pytest.raises(asyncpg.DivisionByZeroError):
        bring_up(url, broken)
    assert postgres.execute("SELECT to_regclass('prefect_fly.half') IS NULL", name_of(url)) == "t"
    assert bring_up(url, STEPS) == ["second"]


def test_prefects_schema_knows_nothing_of_it(
    postgres: PostgresServer, migrated_database: Callable[[], str], migrate: Migrate
) -> None:
    """Dropping Prefect's schema leaves ours, and the next migration builds only what is missing."""
    url = migrated_database()
    bring_up(url, {"first": STEPS["first"]})
    postgres.execute("DROP SCHEMA prefect CASCADE", name_of(url))
    done = migrate(url)
    assert done.returncode == 0, done.stdout
    assert 'created schema "prefect"' in done.stdout
    assert 'created schema "prefect_fly"' not in done.stdout
    assert postgres.execute(TABLES, name_of(url)) == "prefect|3"
    assert postgres.execute("SELECT to_regclass('prefect_fly.first') IS NOT NULL", name_of(url)) == "t"


def test_serve_says_when_it_may_not_read_them(
    postgres: PostgresServer, migrated_database: Callable[[], str], tmp_path: Path
) -> None:
    """A role that may read Prefect's tables and not ours is told so with exit code 14 before Prefect starts."""
    url = migrated_database()
    bring_up(url, {"first": STEPS["first"]})
    postgres.execute(
        "ALTER SCHEMA prefect_fly OWNER TO postgres; ALTER TABLE prefect_fly.step OWNER TO postgres", name_of(url)
    )
    ports = {name: str(free_port()) for name in ("PREFECT_SERVER_API_PORT", "PREFECT_FLY_METRICS_PORT")}
    given = database_environment(url) | ports | {"PREFECT_FLY_API_KEYS": hashed(KEYS)}
    done = run_verb("serve", tmp_path, given)
    assert done.returncode == 14, done.stderr
    assert 'could not read schema "prefect_fly"' in done.stderr
