"""Tables of our own, in a schema beside Prefect's: what the image keeps that Prefect has no place for.

They are made by named steps, each run once, in one transaction with the note that it was. A step that was ever released
is never changed: a later one alters what it made. The schema is another one than Prefect's, so that Prefect's upgrades,
copies and removals never touch it; `DROP SCHEMA prefect_fly CASCADE` removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prefect_server.lineage import tables as lineage_tables
from prefect_server.schema import quote_name

STEPS: Mapping[str, str] = {
    "lineage": lineage_tables.STEP,
    "audit": """
        CREATE TABLE {own}.audit (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL,
            login text NOT NULL,
            rights text NOT NULL,
            method text NOT NULL,
            route text NOT NULL,
            object text NOT NULL,
            status smallint NOT NULL,
            client text NOT NULL
        );
        CREATE INDEX audit_at ON {own}.audit (at)
    """,
    "duty": "CREATE TABLE {own}.duty (name text PRIMARY KEY, holder text NOT NULL, until timestamptz NOT NULL)",
    # One row for each stack's signing secret; the ring is text, since the proof is for its very letters.
    "api_keys": "CREATE TABLE {own}.api_keys (signer text PRIMARY KEY, generation bigint NOT NULL, ring text NOT NULL, "
    "mac text NOT NULL, written_at timestamptz NOT NULL DEFAULT now())",
    "lineage_without_checks": lineage_tables.STEP_WITHOUT_CHECKS,
    # Slots of concurrency limits that runs hold; without Redis.
    "lease": """
        CREATE TABLE {own}.lease (
            id uuid PRIMARY KEY,
            resources uuid[] NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            slots integer,
            holder_type text,
            holder uuid
        );
        CREATE INDEX lease_expires_at ON {own}.lease (expires_at)
    """,
    # Events that a server works on or has worked on a moment before, while another one is there or was lately.
    "worked_on": "CREATE TABLE {own}.worked_on (event uuid PRIMARY KEY, until timestamptz NOT NULL)",
    "claims": """
        ALTER TABLE {own}.worked_on ADD COLUMN done boolean NOT NULL DEFAULT true;
        CREATE TABLE {own}.server (id text PRIMARY KEY, until timestamptz NOT NULL)
    """,
}
"""Name to SQL, in the order in which they are run. `{own}` stands for our schema, `{prefect}` for Prefect's."""


def own_schema(prefect_schema: str) -> str:
    """Return the name of our schema."""
    return f"{prefect_schema}_fly"


def in_own_schema(sql: str, prefect_schema: str) -> str:
    """Put the names of the two schemas into a statement."""
    own, prefect = quote_name(own_schema(prefect_schema)), quote_name(prefect_schema)
    return sql.replace("{own}", own).replace("{prefect}", prefect)


async def missing_steps(connection: Any, prefect_schema: str, steps: Iterable[str] = STEPS) -> list[str]:
    """Return the steps that this database has not seen, in order; changes nothing."""
    # The catalogue, and not to_regclass: that one fails on a schema the role may not use.
    made = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'step')", own_schema(prefect_schema)
    )
    done: set[str] = set()
    if made:
        rows = await connection.fetch(in_own_schema("SELECT name FROM {own}.step", prefect_schema))
        done = {row["name"] for row in rows}
    return [name for name in steps if name not in done]


async def bring_up(connection: Any, prefect_schema: str, steps: Mapping[str, str] = STEPS) -> list[str]:
    """Run the steps that are missing; the caller holds the lock of migrations.

    Returns:
        The names of the steps that were run.
    """
    await connection.execute(
        in_own_schema(
            "CREATE TABLE IF NOT EXISTS {own}.step (name text PRIMARY KEY, done_at timestamptz NOT NULL DEFAULT now())",
            prefect_schema,
        )
    )
    missing = await missing_steps(connection, prefect_schema, steps)
    for name in missing:
        async with connection.transaction():
            await connection.execute(in_own_schema(steps[name], prefect_schema))
            await connection.execute(in_own_schema("INSERT INTO {own}.step VALUES ($1)", prefect_schema), name)
    return missing
