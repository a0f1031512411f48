"""`migrate` keeps a whole copy of the schema before it changes it, where there is room, and never half of one."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect_server import database, schema  # type: ignore[import-not-found,unused-ignore]
from prefect_server.exit_codes import VerbError  # type: ignore[import-not-found,unused-ignore]

from sandbox.postgres import PostgresServer
from tests.support.migration import Migrate, name_of
from tests.support.older_schema import COPIES, OLDER, digests
from tests.support.prefect_server import SOURCE, database_environment, plain_environment
from tests.support.snapshots import (
    COPY,
    as_if_installed,
    change_note,
    definitions,
    end_upgrades,
    note_of,
    settings_of,
    take,
)
from tests.support.waiting import until
from toolchain.prefect_env import prefect_python

pytestmark = pytest.mark.prefect


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    as_if_installed(monkeypatch)


def test_the_copy_is_whole(postgres: PostgresServer, older: str, migrate: Migrate) -> None:
    """Rows, definitions and rights of all tables are in the copy as they were, and the upgrade goes on."""
    name = name_of(older)
    role = f"reader_{name}"
    postgres.execute(f"CREATE ROLE {role}; GRANT SELECT ON prefect.flow_run TO {role}", name)
    rows, made_of = digests(postgres, name, "prefect"), definitions(older, "prefect")
    done = migrate(older, PREFECT_FLY_IMAGE_BEFORE="registry.fly.io/acme@sha256:0")
    assert done.returncode == 0, done.stdout
    assert f'kept a copy, "{COPY}" (revision {OLDER}' in done.stdout
    assert digests(postgres, name, COPY) == rows
    assert definitions(older, COPY) == made_of
    assert len(made_of.tables) > 30
    assert len(made_of.types) == 5
    assert any("gin_trgm_ops" in each for each in made_of.rest)
    assert any("FOREIGN KEY" in each for each in made_of.rest)
    assert f"GRANT SELECT ON flow_run TO {role}" in made_of.rest
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", name) != OLDER
    note = note_of(postgres, older)
    assert (note["revision"], note["image"], note["finished"]) == (OLDER, "registry.fly.io/acme@sha256:0", True)


def test_no_change_no_copy(postgres: PostgresServer, migrated_database: Callable[[], str]) -> None:
    """Nothing is copied where the schema is the image's already."""
    url = migrated_database()
    assert take(url) == []
    assert postgres.execute(COPIES, name_of(url)) == ""


def test_only_the_newest_are_kept(postgres: PostgresServer, older: str) -> None:
    """Each upgrade leaves a copy of its own, and the oldest ones go when there are more than the setting says."""
    for _ in range(3):
        take(older, PREFECT_FLY_KEEP_SNAPSHOTS="2")
        end_upgrades(postgres, older)
    assert postgres.execute(COPIES, name_of(older)) == f"{COPY}_2\n{COPY}_3"
    assert "no copy of it is kept" in take(older, PREFECT_FLY_KEEP_SNAPSHOTS="0")[0]
    assert postgres.execute(COPIES, name_of(older)) == f"{COPY}_2\n{COPY}_3"


def test_a_copy_is_no_other_prefect(older: str) -> None:
    """A new schema is said to stand beside other Prefects' schemas, not beside their copies."""

    async def others() -> list[str]:
        async with database.connection(settings_of(older)) as connection:
            found: list[str] = await schema.other_prefects(connection, "other")
            return found

    take(older)
    assert asyncio.run(others()) == ["prefect"]


def test_an_attempt_that_changed_nothing_is_replaced(postgres: PostgresServer, older: str) -> None:
    """The copy of an upgrade that failed at once makes place for one with what happened since."""
    take(older)
    postgres.execute("UPDATE prefect.flow SET name = 'later'", name_of(older))
    take(older)
    assert postgres.execute(COPIES, name_of(older)) == COPY
    renamed = postgres.execute("SELECT name FROM prefect_before_3_8_8.flow", name_of(older))
    assert renamed == "later"


def test_an_interrupted_upgrade_keeps_the_first_copy(postgres: PostgresServer, older: str) -> None:
    """What a broken-off upgrade left half-way is not copied over the copy from before it began."""
    take(older)
    change_note(postgres, older, revision="9e9dadc36797")
    assert take(older)[0].startswith("an upgrade that was interrupted goes on")
    assert postgres.execute(COPIES, name_of(older)) == COPY


def test_too_large(postgres: PostgresServer, older: str) -> None:
    """Without room the upgrade stops with 23, or goes on without a copy where that was allowed."""
    with pytest.raises(VerbError, match="of at most 10 MB are in use") as refused:
        take(older, PREFECT_FLY_DATABASE_LIMIT_MB="10")
    assert refused.value.code == 23
    said = take(older, PREFECT_FLY_DATABASE_LIMIT_MB="10", PREFECT_FLY_SNAPSHOT_TOO_LARGE="skip")
    assert said[0].startswith('no copy of schema "prefect" is kept: it needs up to')
    assert postgres.execute(COPIES, name_of(older)) == ""


def test_room_is_made_by_what_goes_anyway(postgres: PostgresServer, older: str) -> None:
    """A copy that the new one replaces goes first when both do not fit."""
    name = name_of(older)
    take(older, PREFECT_FLY_KEEP_SNAPSHOTS="1")
    end_upgrades(postgres, older)
    used = int(postgres.execute("SELECT pg_database_size(current_database()) / 1048576", name))
    limit = str(int((used + 1) / 0.9) + 1)
    said = take(older, PREFECT_FLY_KEEP_SNAPSHOTS="1", PREFECT_FLY_DATABASE_LIMIT_MB=limit)
    assert [line.split()[0] for line in said] == ["removed", "copying", "kept"]
    assert len(postgres.execute(COPIES, name).splitlines()) == 1


def test_in_public_only_prefect_is_copied(postgres: PostgresServer, older: str) -> None:
    """Where Prefect shares `public`, the copy holds its tables and none of another application's."""
    name = name_of(older)
    postgres.execute("DROP SCHEMA public; ALTER SCHEMA prefect RENAME TO public", name)
    postgres.execute("CREATE TABLE public.somebody_elses (id int)", name)
    rows = digests(postgres, name, "public")
    take(older, PREFECT_FLY_DATABASE_SCHEMA="public")
    del rows["somebody_elses"]
    assert digests(postgres, name, "public_before_3_8_8") == rows


def test_what_somebody_else_put_there_is_named(postgres: PostgresServer, older: str) -> None:
    """A view is not copied, is named, and stops nothing; a comment that only looks like a note is nobody's copy."""
    name = name_of(older)
    postgres.execute("CREATE VIEW prefect.mine AS SELECT name FROM prefect.flow", name)
    postgres.execute("CREATE SCHEMA odd; COMMENT ON SCHEMA odd IS '{prefect-fly snapshot 1'", name)
    assert take(older)[0] == "not copied, because Prefect did not make it: relation mine"


def test_what_cannot_be_copied_stops_the_upgrade(postgres: PostgresServer, older: str) -> None:
    """A table that numbers its own rows would not be whole in a copy, so no half-true one is kept."""
    name = name_of(older)
    postgres.execute("ALTER TABLE prefect.log ADD COLUMN number int GENERATED ALWAYS AS IDENTITY", name, user="prefect")
    with pytest.raises(VerbError, match="identity columns are not copied, and log has one; nothing was changed"):
        take(older)
    assert postgres.execute(COPIES, name) == ""


def test_missing_right_to_make_a_schema(postgres: PostgresServer, older: str) -> None:
    """A role that may not make schemas is 14, and the SQL given is enough."""
    name = name_of(older)
    postgres.execute(f"ALTER DATABASE {name} OWNER TO postgres", name)
    postgres.execute(f"REVOKE CREATE ON DATABASE {name} FROM prefect, PUBLIC", name)
    with pytest.raises(VerbError) as refused:
        take(older)
    assert refused.value.code == 14
    postgres.execute(str(refused.value).partition("an admin must run: ")[2].partition(";")[0], name)
    assert take(older)[-1].startswith("kept a copy")


def test_killed_half_way(postgres: PostgresServer, older: str, migrate: Migrate, tmp_path: Path) -> None:
    """A migration that is killed while it copies leaves no half copy and no change, and the next one makes it."""
    name = name_of(older)
    # Our session holds what the copy reads last, so it is killed in the middle for certain.
    holder = subprocess.Popen(
        [prefect_python(), "-c", HOLD, older, "prefect.worker"],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdin
    assert holder.stdout.readline() == "held\n"
    environ = plain_environment(tmp_path) | database_environment(older)
    killed = subprocess.Popen([prefect_python(), "-m", "prefect_server", "migrate"], env=environ, cwd=SOURCE)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'prefect' AND datname = current_database()"
    until(lambda: postgres.execute(f"{sessions} AND wait_event_type = 'Lock'", name) == "1")
    os.kill(killed.pid, 9)
    killed.wait()
    holder.communicate("go\n")
    until(lambda: postgres.execute(sessions, name) == "0")
    assert postgres.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'prefect_before%'", name) == "0"
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", name) == OLDER
    assert migrate(older).returncode == 0
    assert postgres.execute(COPIES, name) == COPY


HOLD = """
import asyncio, asyncpg, sys
async def hold():
    connection = await asyncpg.connect(sys.argv[1])
    await connection.execute(f"BEGIN; LOCK TABLE {sys.argv[2]} IN ACCESS EXCLUSIVE MODE")
    print("held", flush=True)
    sys.stdin.readline()
    await connection.close()
asyncio.run(hold())
"""
