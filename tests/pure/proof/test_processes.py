"""Which process a crash is meant for."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proof import processes

# Connects to the port it is given, says so, and stays until its input ends.
CALLER = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))):
    print("connected", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_the_process_behind_a_call_is_found(server: socket.socket) -> None:
    """By the port that the call came from, also below a shell; another port is nobody's, and the end is seen."""
    argv = ["/bin/sh", "-c", '"$@"; true', "sh", sys.executable, "-c", CALLER, str(server.getsockname()[1])]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        connection, (_, port) = server.accept()
        started = processes.below(shell.pid)
        found = processes.holder(port, started)
        assert started == {shell.pid, found}
        assert processes.holder(port, {shell.pid}) is None
        assert processes.running(shell.pid)
        assert processes.born(shell.pid).isdecimal()
        connection.close()
        shell.communicate()
    assert not processes.running(shell.pid)
    assert processes.born(shell.pid) == ""


def test_the_engine_is_the_one_in_its_folder(tmp_path: Path) -> None:
    """A process of this one that is called pulumi and works there; in another folder there is none."""
    (tmp_path / "pulumi").symlink_to("/bin/cat")
    argv = ["pulumi"]
    with subprocess.Popen(argv, executable=tmp_path / "pulumi", cwd=tmp_path, stdin=subprocess.PIPE) as engine:
        assert processes.engine_in(tmp_path) == engine.pid
        assert processes.engine_in(tmp_path.parent) is None
        engine.communicate()
    assert processes.engine_in(tmp_path) is None
    assert os.getpid() in processes.below(os.getpid())
