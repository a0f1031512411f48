"""`restore-snapshot` exchanges the tables of now with those of a copy, whole or not at all."""

from __future__ import annotations

import pytest
from prefect_server import restoring  # type: ignore[import-not-found,unused-ignore]
from prefect_server.exit_codes import VerbError  # type: ignore[import-not-found,unused-ignore]

from sandbox.postgres import PostgresServer
from tests.support.migration import name_of
from tests.support.older_schema import COPIES, OLDER, digests
from tests.support.prefect_server import database_environment
from tests.support.server_session import server_session
from tests.support.snapshots import AFTER, COPY, as_if_installed, definitions, end_upgrades, note_of, take

pytestmark = pytest.mark.prefect

NEW = "d4a7e1c93f52"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    as_if_installed(monkeypatch)
    monkeypatch.setattr(restoring, "SESSIONS_END_WITHIN", 1)


@pytest.fixture
def upgraded(postgres: PostgresServer, older: str) -> str:
    """The URL of a database with a copy from before an upgrade that added an index, a flow and a word of a type."""
    take(older, PREFECT_FLY_IMAGE_BEFORE="old@sha256:0")
    end_upgrades(postgres, older)
    upgrade = """
    SET search_path = prefect;
    CREATE INDEX ix_flow_run__new ON flow_run (run_count);
    ALTER TYPE state_type ADD VALUE 'NEW';
    INSERT INTO flow (name) VALUES ('since then');
    UPDATE alembic_version SET version_num = 'd4a7e1c93f52'
    """
    postgres.execute(upgrade, name_of(older), user="prefect")
    return older


def restore(url: str, name: str = COPY, **environ: str) -> int:
    """Run the verb in this process."""
    return int(restoring.restore_snapshot(database_environment(url) | {"PREFECT_FLY_SNAPSHOT": name} | environ))


def refused(url: str, code: int, name: str = COPY) -> str:
    """Return the sentence of a verb that ends with this code."""
    with pytest.raises(VerbError) as raised:
        restore(url, name)
    assert raised.value.code == code
    return str(raised.value)


def test_back_and_forth(postgres: PostgresServer, upgraded: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Back: all is as before the upgrade. What came since is set aside and can be brought back in the same way."""
    name = name_of(upgraded)
    newer = (digests(postgres, name, "prefect"), definitions(upgraded, "prefect"))
    before = (digests(postgres, name, COPY), definitions(upgraded, COPY))
    steps = digests(postgres, name, "prefect_fly")
    restore(upgraded, PREFECT_FLY_IMAGE_BEFORE="new@sha256:1")
    assert (digests(postgres, name, "prefect"), definitions(upgraded, "prefect")) == before
    assert postgres.execute(COPIES, name) == AFTER
    assert '"leads_to": "", ' in capsys.readouterr().out
    note = note_of(postgres, upgraded, AFTER)
    assert (note["image"], note["leads_to"], note["revision"]) == ("new@sha256:1", "old@sha256:0", NEW)
    restore(upgraded, AFTER)
    assert (digests(postgres, name, "prefect"), definitions(upgraded, "prefect")) == newer
    assert digests(postgres, name, "prefect_fly") == steps


def test_in_public(postgres: PostgresServer, upgraded: str) -> None:
    """Where Prefect shares `public`, its tables alone are exchanged."""
    name = name_of(upgraded)
    postgres.execute("DROP SCHEMA public; ALTER SCHEMA prefect RENAME TO public", name)
    postgres.execute("CREATE TABLE public.somebody_elses (id int)", name)
    note = postgres.execute(f"SELECT obj_description('{COPY}'::regnamespace)", name)
    postgres.execute(f"""COMMENT ON SCHEMA {COPY} IS '{note.replace('"of": "prefect"', '"of": "public"')}'""", name)
    restore(upgraded, PREFECT_FLY_DATABASE_SCHEMA="public")
    assert postgres.execute("SELECT version_num FROM public.alembic_version", name) == OLDER
    assert postgres.execute("SELECT tablename FROM pg_tables WHERE tablename = 'somebody_elses'", name)
    assert "somebody_elses" not in digests(postgres, name, "public_after_3_8_8")


def test_unknown_name(upgraded: str) -> None:
    """Another name is 24, and those that there are stand in the sentence."""
    assert f'there are: "{COPY}" (revision {OLDER}' in refused(upgraded, 24, "prefect_before_9")


def test_a_changed_copy(postgres: PostgresServer, upgraded: str) -> None:
    """A copy in which somebody changed something is 24, and nothing is exchanged."""
    name = name_of(upgraded)
    postgres.execute("DELETE FROM prefect_before_3_8_8.log", name)
    assert "the rows of log changed since it was made" in refused(upgraded, 24)
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", name) == NEW
    assert postgres.execute(COPIES, name) == COPY


def test_something_of_somebody_elses_in_the_copy(postgres: PostgresServer, upgraded: str) -> None:
    """A copy's schema that holds something else is not dropped, and nothing is exchanged."""
    name = name_of(upgraded)
    postgres.execute("CREATE FUNCTION prefect_before_3_8_8.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", name)
    assert "nothing was changed" in refused(upgraded, 1)
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", name) == NEW


def test_a_running_server(postgres: PostgresServer, upgraded: str) -> None:
    """While a server of this schema is connected it is 25; one of another schema stops nothing."""
    with server_session(upgraded, "prefect-fly-serve prefect"):
        assert "a server still uses it (1 sessions)" in refused(upgraded, 25)
    assert postgres.execute("SELECT version_num FROM prefect.alembic_version", name_of(upgraded)) == NEW
    with server_session(upgraded, "prefect-fly-serve staging"):
        assert restore(upgraded) == 0
