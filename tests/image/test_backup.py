"""A backup of a real database into a file and back: every row or nothing, and no file that is not whole."""

from __future__ import annotations

import asyncio
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops import backup_database
from ops.backup_file import Manifest, read_whole, writing
from ops.database_access import DatabaseAccess
from ops.errors import OpsError
from sandbox.postgres import PostgresServer
from tests.support.migration import name_of
from tests.support.older_schema import digests
from tests.support.server_session import server_session
from tests.support.snapshots import definitions

pytestmark = pytest.mark.prefect


@pytest.fixture
def access(postgres: PostgresServer, older: str) -> DatabaseAccess:
    """A database with some history, reached as a person's machine reaches it, its certificate verified."""
    return access_of(postgres, older)


def access_of(postgres: PostgresServer, url: str) -> DatabaseAccess:
    parts = urlsplit(url)
    assert parts.password
    return DatabaseAccess(
        host="127.0.0.1",
        port=postgres.port,
        user="prefect",
        password=parts.password,
        name=name_of(url),
        tls=True,
        ca=postgres.ca_file.read_text(),
        schema="prefect",
    )


@pytest.fixture
def file(access: DatabaseAccess, tmp_path: Path) -> Path:
    """A backup of that database."""
    path = tmp_path / "prefect.backup"
    save(access, path)
    return path


def save(access: DatabaseAccess, path: Path) -> list[str]:
    said: list[str] = []
    with writing(path) as writer:
        asyncio.run(backup_database.save(access, writer, said.append))
    return said


def load(access: DatabaseAccess, path: Path, *, replace: bool = True) -> Manifest:
    manifest = read_whole(path, lambda _: None)
    asyncio.run(backup_database.require_fitting(access, manifest, replace=replace))
    asyncio.run(backup_database.load(access, path, manifest, lambda _: None, replace=replace))
    return manifest


def refused(access: DatabaseAccess, path: Path, *, replace: bool = True) -> str:
    with pytest.raises(OpsError) as raised:
        load(access, path, replace=replace)
    return str(raised.value)


def test_there_and_back(postgres: PostgresServer, access: DatabaseAccess, older: str, file: Path) -> None:
    """What was changed and lost since the backup is as it was, definitions included; its owner alone reads the file."""
    rows, made_of = digests(postgres, access.name, "prefect"), definitions(older, "prefect")
    change = """
    SET search_path = prefect;
    DELETE FROM log; UPDATE flow SET name = 'changed'; INSERT INTO flow (name) VALUES ('since then')
    """
    postgres.execute(change, access.name)
    manifest = load(access, file)
    assert digests(postgres, access.name, "prefect") == rows
    assert definitions(older, "prefect") == made_of
    assert manifest.rows == sum(int(each.split()[0]) for each in rows.values())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"run 1" not in file.read_bytes()


def test_into_a_database_without_history(
    postgres: PostgresServer, access: DatabaseAccess, migrated_database: Callable[[], str], file: Path
) -> None:
    """A new database of the same revision takes it without --replace."""
    other = access_of(postgres, migrated_database())
    postgres.execute("UPDATE prefect.alembic_version SET version_num = 'c8d5f2a71b3e'", other.name)
    load(other, file, replace=False)
    assert digests(postgres, other.name, "prefect") == digests(postgres, access.name, "prefect")


def test_progress(access: DatabaseAccess, tmp_path: Path) -> None:
    """Rows, megabytes and seconds of each table that has rows are told."""
    said = save(access, tmp_path / "x")
    assert any(line.startswith("log: 200 rows, 0.0 MB, ") for line in said)


def test_another_revision_and_history(postgres: PostgresServer, access: DatabaseAccess, file: Path) -> None:
    """Another revision, another table, and runs that nobody allowed to throw away are each refused with a sentence."""
    assert "it holds 50 flow runs. Add --replace" in refused(access, file, replace=False)
    postgres.execute("CREATE TABLE prefect.mine (id int); ALTER TABLE prefect.mine OWNER TO prefect", access.name)
    assert "mine differ from the backup's" in refused(access, file)
    postgres.execute("UPDATE prefect.alembic_version SET version_num = 'd4a7e1c93f52'", access.name)
    assert "the backup has revision c8d5f2a71b3e and the schema d4a7e1c93f52" in refused(access, file)
    assert postgres.execute("SELECT count(*) FROM prefect.flow_run", access.name) == "50"


def test_a_running_server(access: DatabaseAccess, older: str, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a server is connected nothing is replaced."""
    monkeypatch.setattr(backup_database, "_SESSIONS_END_WITHIN", 1)
    with server_session(older, "prefect-fly-serve prefect"):
        assert "a server still uses it (1 sessions)" in refused(access, file)


def test_a_row_that_leads_nowhere(postgres: PostgresServer, access: DatabaseAccess, file: Path, tmp_path: Path) -> None:
    """When one table cannot be taken, all of them stay as they were."""
    rows = digests(postgres, access.name, "prefect")
    manifest = read_whole(file, lambda _: None)
    broken = tmp_path / "broken"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(broken, "w") as target:
        for entry in source.namelist():
            target.writestr(entry, b"" if entry == "tables/flow.copy" else source.read(entry))
    with pytest.raises(OpsError, match="0 of 1 rows arrived"):
        asyncio.run(backup_database.load(access, broken, manifest, lambda _: None, replace=True))
    assert digests(postgres, access.name, "prefect") == rows


def test_unreachable(postgres: PostgresServer, access: DatabaseAccess, tmp_path: Path) -> None:
    """A database that is not there, or no Prefect in it, is a sentence, and no file is left."""
    postgres.execute("DROP SCHEMA prefect CASCADE", access.name)
    with pytest.raises(OpsError, match="could not find Prefect's tables"):
        save(access, tmp_path / "x")
    postgres.drop_database(access.name)
    with pytest.raises(OpsError, match="session pooler's address"):
        save(access, tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
