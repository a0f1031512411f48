"""Finds a Docker engine, or privately starts one on Debian as root; needs nothing but the standard library.

The private engine has its own data, sockets and pid file in one new folder, so it neither sees nor disturbs another; it
is ended by its pid and its folder removed. Only CI asks for one: `make demo` uses what is there and goes without if
nothing is.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from toolchain.errors import EngineUnavailableError

DEFAULT_HOST = "unix:///var/run/docker.sock"
REQUIRED_VARIABLE = "PREFECT_FLY_REQUIRE_DOCKER"
"""Set by CI where an engine can be had: a container test then fails without one instead of being skipped."""

_START_SECONDS = 180.0
_STOP_SECONDS = 60.0
_INSTALL_SECONDS = 600.0
_BRIDGED: tuple[str, ...] = ()
_UNBRIDGED = ("--bridge=none", "--iptables=false", "--ip-masq=false")


def answering_host() -> str | None:
    """The address of an engine that answers: DOCKER_HOST if that is set, else the usual socket; None if it does not."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    return host if answers(host) else None


def answers(host: str) -> bool:
    """Whether an engine at a unix:// or tcp:// address answers a ping within 5 seconds."""
    try:
        with contextlib.closing(_connection(host)) as connection:
            connection.request("GET", "/_ping")
            return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


def build_network(host: str) -> str | None:
    """The network mode a build needs to reach package servers: "host" on an engine without a bridge, else None."""
    with contextlib.closing(_connection(host)) as connection:
        connection.request("GET", "/networks")
        networks = json.loads(connection.getresponse().read())
    return None if any(network["Driver"] == "bridge" for network in networks) else "host"


def install_engine() -> None:
    """Install Debian's engine and debootstrap, if they are not there.

    Raises:
        EngineUnavailableError: apt-get said no.
    """
    if shutil.which("dockerd") and shutil.which("debootstrap"):
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = ["docker.io", "debootstrap"]
    for argv in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", *argv],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_SECONDS,
        )
        if done.returncode != 0:
            raise EngineUnavailableError(f"could not install a Docker engine: {done.stderr.strip()[-400:]}")


def start_private() -> tuple[str, Path]:
    """Start an engine of our own; gives its address and its folder, which `stop_private` takes.

    Raises:
        EngineUnavailableError: it does not start; the text ends with what it said.
    """
    said = ""
    for options in (_BRIDGED, _UNBRIDGED, (*_UNBRIDGED, "--storage-driver=vfs")):
        # A short path: a socket's address has at most 108 characters.
        folder = Path(tempfile.mkdtemp(prefix="prefect-fly-docker-"))
        host = f"unix://{folder}/docker.sock"
        if _start(folder, host, options):
            return host, folder
        said = (folder / "log").read_text(errors="replace")[-400:]
        stop_private(folder)
    raise EngineUnavailableError(f"could not start a Docker engine: {said.strip()}")


def stop_private(folder: Path) -> None:
    """End the engine of that folder, wait for its end, and remove the folder."""
    pid_file = folder / "pid"
    if pid_file.is_file():
        _end(int(pid_file.read_text()))
    for line in Path("/proc/self/mounts").read_text().splitlines():
        mount = line.split()[1]
        if mount.startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def main(argv: Sequence[str]) -> int:
    """`start` prints the lines a shell evaluates; `stop FOLDER` ends what `start` began."""
    if argv[:1] == ["stop"] and len(argv) == 2:
        stop_private(Path(argv[1]))
        return 0
    if list(argv) != ["start"]:
        print("could not run: say `start`, or `stop FOLDER`.", file=sys.stderr)
        return 2
    try:
        host = answering_host()
        if host is None:
            install_engine()
            host, folder = start_private()
            print(f"export PREFECT_FLY_PRIVATE_DOCKER={folder}")
        print(f"export DOCKER_HOST={host}")
    except (EngineUnavailableError, OSError, subprocess.TimeoutExpired) as error:
        print(f"NO DOCKER ENGINE: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(5)
        self.sock.connect(self._path)


def _connection(host: str) -> http.client.HTTPConnection:
    scheme, _, address = host.partition("://")
    if scheme == "unix":
        return _UnixConnection(address)
    if scheme in {"tcp", "http"}:
        return http.client.HTTPConnection(address.rstrip("/"), timeout=5)
    raise OSError(f"not an address of a Docker engine that can be asked: {host}")


def _start(folder: Path, host: str, options: Sequence[str]) -> bool:
    (folder / "data").mkdir()
    argv = ["dockerd", "-H", host, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    argv += ["--pidfile", str(folder / "pid"), *options]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if answers(host):
            return True
        time.sleep(0.2)
    process.terminate()
    return False


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < deadline and _alive(pid):
            time.sleep(0.1)
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
