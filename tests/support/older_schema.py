"""A schema of the revision before the image's, with some rows, and a look at all rows of a schema."""

from __future__ import annotations

from sandbox.postgres import PostgresServer

OLDER = "c8d5f2a71b3e"
"""The revision before d4a7e1c93f52, whose migration makes one index where it is missing, so it can be taken back."""

COPIES = """SELECT nspname FROM pg_namespace WHERE obj_description(oid, 'pg_namespace') LIKE '%prefect-fly snapshot 1%'
ORDER BY 1"""

_TAKE_BACK = """
SET search_path = prefect;
DROP INDEX ix_flow_run__state_type_coalesce_start_time;
UPDATE alembic_version SET version_num = 'c8d5f2a71b3e';
"""
_HISTORY = """
SET search_path = prefect;
INSERT INTO flow (name) VALUES ('tab' || chr(9) || 'line' || chr(10) || 'end');
INSERT INTO flow_run (flow_id, name, state_type, state_name, tags)
    SELECT id, 'run ' || n, 'COMPLETED', 'Completed', '["a", null]' FROM flow, generate_series(1, 50) AS n;
INSERT INTO flow_run_state (flow_run_id, type, name, timestamp)
    SELECT id, 'COMPLETED', 'Completed', now() FROM flow_run;
UPDATE flow_run SET state_id = flow_run_state.id FROM flow_run_state WHERE flow_run_id = flow_run.id;
INSERT INTO log (name, level, message, timestamp)
    SELECT 'x', 20, repeat(n::text, 50), now() FROM generate_series(1, 200) AS n;
"""


_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"


def make_older(postgres: PostgresServer, database: str) -> None:
    """Take the schema `prefect` back by one revision, and add some runs when it has none."""
    postgres.execute(_TAKE_BACK, database, user="prefect")
    if postgres.execute("SELECT count(*) FROM prefect.flow_run", database) == "0":
        postgres.execute(_HISTORY, database, user="prefect")


def digests(postgres: PostgresServer, database: str, schema: str) -> dict[str, str]:
    """Return table to number of rows and a hash over all of them, whatever their order."""
    within = f"SET search_path = {schema}; "
    tables = postgres.execute(within + _TABLES, database)
    looks = [
        f"SELECT '{name}', count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) FROM {name} t"  # noqa: S608 - names of tables
        for name in tables.splitlines()
    ]
    return dict(line.split("|") for line in postgres.execute(within + "; ".join(looks), database).splitlines())
