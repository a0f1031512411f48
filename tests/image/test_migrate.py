"""`migrate` against a real Postgres: it builds in its schema and nowhere else, and each failure has its code."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox.certificates import issue
from sandbox.core.ports import free_port
from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.migration import TABLES, Migrate, name_of, note, sentence
from tests.support.prefect_server import Program, database_environment, hashed, running
from tests.support.server_session import session_holding

pytestmark = pytest.mark.prefect


def replaced(url: str, *, user: str = "", password: str = "", host: str = "", port: int = 0, name: str = "") -> str:
    """The same URL with some parts exchanged."""
    parts = urlsplit(url)
    place = f"{host or parts.hostname}:{port or parts.port}"
    return f"postgresql://{user or parts.username}:{password or parts.password}@{place}/{name or name_of(url)}"


def test_fresh_and_again(postgres: PostgresServer, fresh_database: str, migrate: Migrate) -> None:
    """On an empty database everything is built in our schema, block types are there, and a rerun changes nothing."""
    assert migrate(fresh_database).returncode == 0
    assert postgres.execute(TABLES, name_of(fresh_database)) == "prefect|3"
    assert int(postgres.execute("SELECT count(*) FROM prefect.block_type", name_of(fresh_database))) > 5
    again = migrate(fresh_database)
    assert again.returncode == 0
    assert "created" not in again.stdout


def test_two_at_once(fresh_database: str, migrate: Migrate) -> None:
    """Of two migrations at once one waits for the other, and both succeed."""
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: migrate(fresh_database), range(2)))
    assert [each.returncode for each in done] == [0, 0], [each.stdout + each.stderr for each in done]
    assert "another migration is running" in done[0].stdout + done[1].stdout


def test_own_ca(postgres: PostgresServer, migrated_database: Callable[[], str], migrate: Migrate) -> None:
    """With the server's CA the migration's connections, Prefect's own included, are verified and work."""
    assert migrate(migrated_database(), PREFECT_FLY_DATABASE_CA=postgres.ca_file.read_text()).returncode == 0


def test_another_schema_beside_it(
    postgres: PostgresServer, migrated_database: Callable[[], str], migrate: Migrate
) -> None:
    """Two installations in two schemas of one database do not see one another; the newer is told of the older, once."""
    url = migrated_database()
    said = note(migrate(url, PREFECT_FLY_DATABASE_SCHEMA="staging"))
    assert 'schema "staging" is new and empty, and prefect in the same database' in said
    assert migrate(url, PREFECT_FLY_DATABASE_SCHEMA="staging").returncode == 0
    assert postgres.execute(TABLES, name_of(url)) == "prefect|3\nstaging|3"


PREFECT_IN_PUBLIC = "DROP SCHEMA public; ALTER SCHEMA prefect RENAME TO public; GRANT ALL ON SCHEMA public TO prefect;"


def test_prefect_in_public_is_left_alone(
    postgres: PostgresServer, migrated_database: Callable[[], str], migrate: Migrate
) -> None:
    """Where a Prefect lives in public already, ours is built beside it and shares nothing with it."""
    url = migrated_database()
    postgres.execute(PREFECT_IN_PUBLIC, name_of(url))
    assert "and public in the same database holds" in note(migrate(url))
    assert postgres.execute(TABLES, name_of(url)) == "prefect|3\npublic|3"


def test_foreign_alembic_in_public_is_left_alone(
    postgres: PostgresServer, fresh_database: str, migrate: Migrate
) -> None:
    """With pg_trgm in public too, another application's alembic_version there does not mislead ours."""
    postgres.execute(
        "CREATE EXTENSION pg_trgm SCHEMA public; CREATE TABLE public.alembic_version (version_num text); "
        "INSERT INTO public.alembic_version VALUES ('theirs'); GRANT SELECT ON public.alembic_version TO prefect",
        name_of(fresh_database),
    )
    assert migrate(fresh_database).returncode == 0
    assert postgres.execute("SELECT * FROM public.alembic_version", name_of(fresh_database)) == "theirs"
    assert postgres.execute(TABLES, name_of(fresh_database)) == "prefect|3\npublic|1"


def test_unreachable(fresh_database: str, migrate: Migrate) -> None:
    """A closed port is 10."""
    port = free_port()
    assert "could not reach database" in sentence(migrate(replaced(fresh_database, port=port)), 10)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "[2001:db8::1]"], ids=["unknown name", "IPv6 only"])
def test_not_resolvable(fresh_database: str, migrate: Migrate, host: str) -> None:
    """A name without an address, or with one of a kind this machine cannot use, is 11."""
    assert "session pooler" in sentence(migrate(replaced(fresh_database, host=host)), 11)


def test_bad_password(fresh_database: str, migrate: Migrate) -> None:
    """A wrong password is 12."""
    assert 'role "prefect" was refused' in sentence(migrate(replaced(fresh_database, password="guess")), 12)


def test_no_such_database(fresh_database: str, migrate: Migrate) -> None:
    """A database that does not exist is 13."""
    assert 'database "nowhere"' in sentence(migrate(replaced(fresh_database, name="nowhere")), 13)


def test_missing_privilege(postgres: PostgresServer, fresh_database: str, migrate: Migrate) -> None:
    """A role that may not create anything is 14, and the SQL in the sentence is all an admin has to run."""
    name = name_of(fresh_database)
    role = f"poor_{name}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'a-poor-password'; GRANT CONNECT ON DATABASE {name} TO {role}")
    poor = replaced(fresh_database, user=role, password="a-poor-password")
    said = sentence(migrate(poor), 14)
    sql = re.search(r"an admin must run: (.*)$", said)
    assert sql
    postgres.execute(sql[1], name)
    assert migrate(poor).returncode == 0
    assert postgres.execute(TABLES, name) == "prefect|3"


def test_missing_privilege_on_schema(postgres: PostgresServer, fresh_database: str, migrate: Migrate) -> None:
    """A schema that an admin made without granting it is 14 before anything is built in it."""
    name = name_of(fresh_database)
    role = f"guest_{name}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'a-guest-password'; CREATE SCHEMA prefect", name)
    postgres.execute("CREATE EXTENSION pg_trgm SCHEMA public", name)
    guest = replaced(fresh_database, user=role, password="a-guest-password")
    sql = sentence(migrate(guest), 14).partition("an admin must run: ")[2]
    assert postgres.execute(TABLES, name) == ""
    assert sql.startswith(f'GRANT USAGE, CREATE ON SCHEMA "prefect" TO "{role}"; GRANT ALL ON ALL')


def test_server_without_tls(tmp_path: Path, migrate: Migrate) -> None:
    """A server that offers no TLS is 15, unless plaintext was asked for."""
    with PostgresServer(tmp_path / "plain", tls="off") as plain:
        url = plain.create_database("plain")
        assert "it offers no TLS" in sentence(migrate(url), 15)
        assert migrate(url, PREFECT_FLY_DATABASE_REQUIRE_TLS="false").returncode == 0
        plain.remove()


def test_wrong_ca(tmp_path: Path, fresh_database: str, migrate: Migrate) -> None:
    """A certificate of another authority is 15."""
    other = issue("somebody else").authority.decode()
    assert "could not trust" in sentence(migrate(fresh_database, PREFECT_FLY_DATABASE_CA=other), 15)


def test_foreign_alembic_in_our_schema(postgres: PostgresServer, fresh_database: str, migrate: Migrate) -> None:
    """A schema in which another application keeps its revisions is 16 and stays untouched."""
    postgres.execute(
        "CREATE SCHEMA prefect AUTHORIZATION prefect; CREATE TABLE prefect.alembic_version (version_num text); "
        "INSERT INTO prefect.alembic_version VALUES ('theirs'); GRANT SELECT ON prefect.alembic_version TO prefect",
        name_of(fresh_database),
    )
    assert "another application" in sentence(migrate(fresh_database), 16)
    assert postgres.execute(TABLES, name_of(fresh_database)) == "prefect|1"


def test_prefect_and_extension_both_in_public(
    postgres: PostgresServer, migrated_database: Callable[[], str], migrate: Migrate
) -> None:
    """When pg_trgm cannot be had without seeing another Prefect's tables it is 16, and the SQL given fixes it."""
    url = migrated_database()
    postgres.execute(PREFECT_IN_PUBLIC + "ALTER EXTENSION pg_trgm SET SCHEMA public", name_of(url))
    said = sentence(migrate(url), 16)
    sql = re.search(r"an admin must run: (ALTER .*?) \(", said)
    assert sql
    postgres.execute(sql[1], name_of(url))
    assert "public in the same database" in note(migrate(url))
    assert postgres.execute(TABLES, name_of(url)) == "prefect|3\npublic|3"


def test_newer_schema(
    postgres: PostgresServer, migrated_database: Callable[[], str], migrate: Migrate, tmp_path: Path
) -> None:
    """A schema newer than the image is 17 and not changed; an older `serve` still starts on it, with a warning."""
    url = migrated_database()
    postgres.execute("UPDATE prefect.alembic_version SET version_num = 'fedcba987654'", name_of(url))
    assert "newer than this image" in sentence(migrate(url), 17)
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", name_of(url)) == "fedcba987654"
    with running(Program(tmp_path, database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed(KEYS)})) as program:
        assert "newer than this image" in program.log


def test_timeout_behind_another_migration(
    postgres: PostgresServer, migrated_database: Callable[[], str], migrate: Migrate
) -> None:
    """Waiting for another migration ends in time with 18."""
    url = migrated_database()
    with session_holding(url, "SELECT pg_advisory_lock(hashtext('prefect-fly'), hashtext('prefect'))"):
        assert "within 3 s" in sentence(migrate(url, PREFECT_FLY_MIGRATE_TIMEOUT="3"), 18)


def test_timeout_inside_prefect(postgres: PostgresServer, fresh_database: str, migrate: Migrate) -> None:
    """A lock that stops Prefect's own migrations, deep in a thread, ends in time with 18 too; a rerun goes on."""
    postgres.execute(
        "CREATE SCHEMA prefect AUTHORIZATION prefect; SET ROLE prefect; "
        "CREATE TABLE prefect.alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY)",
        name_of(fresh_database),
    )
    with session_holding(fresh_database, "LOCK TABLE prefect.alembic_version IN SHARE ROW EXCLUSIVE MODE"):
        # How long Prefect takes to get there is the machine's business.
        for seconds in ("15", "60", "240"):
            done = migrate(fresh_database, PREFECT_FLY_MIGRATE_TIMEOUT=seconds)
            assert f"within {seconds} s" in sentence(done, 18)
            if "upgrading from nothing" in done.stdout:
                break
        assert "upgrading from nothing" in done.stdout
    assert migrate(fresh_database).returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "postgres://u:s3cret@h/d"),
        ("PREFECT_FLY_DATABASE_SCHEMA", "public; drop"),
        ("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://u:s3cret@h/d"),
        ("PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE", "many"),
    ],
)
def test_bad_settings(fresh_database: str, migrate: Migrate, name: str, value: str) -> None:
    """A wrong setting, ours or Prefect's, is 19 and is named."""
    done = migrate(fresh_database, **{name: value})
    assert name in sentence(done, 19)
    assert "s3cret" not in done.stdout + done.stderr


def test_tables_without_revision(postgres: PostgresServer, fresh_database: str, migrate: Migrate) -> None:
    """A schema with a flow_run of somebody else's is 20 and stays untouched."""
    postgres.execute(
        "CREATE SCHEMA prefect AUTHORIZATION prefect; CREATE TABLE prefect.flow_run ()", name_of(fresh_database)
    )
    assert "it has a table flow_run but no revision" in sentence(migrate(fresh_database), 20)
    assert postgres.execute(TABLES, name_of(fresh_database)) == "prefect|1"
