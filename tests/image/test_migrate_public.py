"""`migrate` where another Prefect was before: in `public`, or of the version before."""

from __future__ import annotations

import pytest

from sandbox.postgres import PostgresServer
from tests.support.migration import TABLES, Migrate, name_of, sentence

pytestmark = pytest.mark.prefect


def test_a_server_made_by_hand_keeps_its_history_in_public(
    postgres: PostgresServer, fresh_database: str, migrate: Migrate
) -> None:
    """Prefect's tables in `public`, as its own command makes them, are taken where the settings say so."""
    name = name_of(fresh_database)
    assert migrate(fresh_database).returncode == 0
    postgres.execute("DROP SCHEMA public; ALTER SCHEMA prefect RENAME TO public", name)
    postgres.execute("INSERT INTO public.flow (name) VALUES ('of-the-old-server')", name)
    assert migrate(fresh_database, PREFECT_FLY_DATABASE_SCHEMA="public").returncode == 0
    assert postgres.execute(TABLES, name) == "public|3"
    assert postgres.execute("SELECT name FROM public.flow", name) == "of-the-old-server"


def test_a_public_schema_without_prefect_is_left_alone(
    postgres: PostgresServer, fresh_database: str, migrate: Migrate
) -> None:
    """Nothing is built in `public`, where other applications are, unless a Prefect is there."""
    said = sentence(migrate(fresh_database, PREFECT_FLY_DATABASE_SCHEMA="public"), 20)
    assert "set database.schema to a name of its own" in said
    assert postgres.execute(TABLES, name_of(fresh_database)) == ""


def test_a_prefect_2_database_is_refused(postgres: PostgresServer, fresh_database: str, migrate: Migrate) -> None:
    """Its revision is one of Prefect 2's; nothing is changed, and the sentence says what to do."""
    name = name_of(fresh_database)
    postgres.execute(
        "CREATE SCHEMA prefect AUTHORIZATION prefect; CREATE TABLE prefect.flow_run (id int);"
        "CREATE TABLE prefect.alembic_version (version_num text); ALTER TABLE prefect.alembic_version OWNER TO prefect;"
        "INSERT INTO prefect.alembic_version VALUES ('b23c83a12cb4')",
        name,
    )
    assert "a Prefect 2 made it (b23c83a12cb4)" in sentence(migrate(fresh_database), 21)
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", name) == "b23c83a12cb4"
