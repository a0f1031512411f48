"""The sandbox's Postgres is real, speaks TLS that verifies, keeps its data and ends only itself."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from sandbox.postgres import PostgresError, PostgresServer
from sandbox.unprivileged import Account, folder_for, remove_folder
from tests.support.waiting import PATIENCE


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.remove()


def _fetch(url: str, sql: str, tls: ssl.SSLContext | bool) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url, ssl=tls)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


def _refused(url: str, tls: ssl.SSLContext | bool, error: type[Exception], match: str | None = None) -> None:
    with pytest.raises(error, match=match):
        _fetch(url, "SELECT 1", tls)
    # asyncpg closes what was refused without waiting for the other side. Let go of it here, or the collector finds it
    # in some later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_client_verifies_certificate(server: PostgresServer) -> None:
    """A client that checks chain and host name against the CA file connects, and the session is encrypted."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert str(_fetch(server.url(), sql, context)).startswith("TLSv1.")


def test_unknown_authority_is_refused(server: PostgresServer) -> None:
    """The certificate is not trusted by a client that was not given the sandbox's CA."""
    _refused(server.url(), ssl.create_default_context(), ssl.SSLCertVerificationError)


def test_plaintext_is_refused(server: PostgresServer) -> None:
    """A client that speaks no TLS is turned away, as with Supabase's SSL enforcement."""
    _refused(server.url(), False, asyncpg.InvalidAuthorizationSpecificationError)


def test_wrong_password_is_refused(server: PostgresServer) -> None:
    """The generated password is needed."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    url = server.url().replace(server.url().split("@")[0].rsplit(":", 1)[1], "guess")
    _refused(url, context, asyncpg.InvalidPasswordError)


def test_role_can_build_what_prefect_needs(server: PostgresServer) -> None:
    """The role is no superuser, yet creates a schema of its own and pg_trgm in `extensions`."""
    with server.database() as url:
        name = url.rsplit("/", 1)[1]
        server.execute("CREATE SCHEMA prefect; CREATE EXTENSION pg_trgm SCHEMA extensions", name, user="prefect")
        assert server.execute("SELECT extensions.similarity('flow', 'flow')", name, user="prefect") == "1"
        assert server.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'prefect'") == "f"
    with pytest.raises(PostgresError, match="does not exist"):
        server.execute("SELECT 1", name)


def test_role_can_use_public_before_and_after_a_wipe(server: PostgresServer) -> None:
    """As on Supabase, tables of a server set up by hand may be in `public`; a wipe takes them and not the right."""
    with server.database() as url:
        name = url.rsplit("/", 1)[1]
        server.execute("CREATE TABLE public.flow_run (id int)", name, user="prefect")
    server.execute("CREATE TABLE public.flow_run (id int)", user="prefect")
    server.wipe()
    server.execute("CREATE TABLE public.flow_run (id int)", user="prefect")
    server.wipe()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_runs_without_privileges(server: PostgresServer) -> None:
    """Started by root, the server process belongs to somebody else."""
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_data_survives_restart(tmp_path: Path) -> None:
    """Stopped and started again it has the same port, password, certificate and rows."""
    first = PostgresServer(tmp_path)
    with first:
        first.execute("CREATE TABLE kept AS SELECT 7 AS n")
        before = (first.port, first.url(), first.ca_file.read_bytes())
    second = PostgresServer(tmp_path)
    with second:
        assert second.execute("SELECT n FROM kept") == "7"
        assert (second.port, second.url(), second.ca_file.read_bytes()) == before
    second.remove()
    assert not tmp_path.exists()


def test_leftover_server_is_replaced(tmp_path: Path) -> None:
    """A server orphaned by a killed sandbox is ended by the next start, which takes over its data."""
    orphan = PostgresServer(tmp_path)
    orphan.start()
    left = orphan._process
    assert left is not None
    heir = PostgresServer(tmp_path)
    heir.start()
    try:
        assert left.wait(PATIENCE) == 0
        assert heir.execute("SELECT 1") == "1"
    finally:
        heir.remove()


def test_off_means_no_tls(tmp_path: Path) -> None:
    """With TLS off a client that insists on it is told so by the server."""
    server = PostgresServer(tmp_path, tls="off")
    with server:
        assert _fetch(server.url(), "SELECT 1", tls=False) == 1
        _refused(server.url(), True, ConnectionError, "rejected SSL upgrade")
    server.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="others' folders are always within reach of themselves")
def test_unreachable_home(tmp_path: Path) -> None:
    """Below a folder closed to others the data lives elsewhere, and is swept away once its home is gone."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    first = folder_for(Account.unprivileged(), closed / "data")
    assert not first.is_relative_to(tmp_path)
    assert folder_for(Account.unprivileged(), closed / "data") == first
    assert first.stat().st_uid == Account.unprivileged().uid
    (closed / "data").unlink()
    second = folder_for(Account.unprivileged(), closed / "data")
    assert not first.parent.exists()
    remove_folder(closed / "data")
    assert not second.parent.exists()
