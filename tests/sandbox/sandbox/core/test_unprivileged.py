"""Programs that run as another user, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sandbox import unprivileged
from sandbox.unprivileged import Account
from toolchain.places import ROOT

# A library that has handlers for a fork, and threads that are inside it: children of a fork of this process may crash.
BESIDE_GRPC = """
import subprocess
from concurrent.futures import ThreadPoolExecutor
import grpc
from sandbox.unprivileged import Account
server = grpc.server(ThreadPoolExecutor(1))
channel = grpc.insecure_channel("127.0.0.1:%d" % server.add_insecure_port("127.0.0.1:0"))
server.start()
grpc.channel_ready_future(channel).result()
for _ in range(20):
    subprocess.run(Account.unprivileged().command(["/bin/true"]), check=True)
channel.close()
server.stop(None).wait()
"""


def test_the_program_runs_as_the_user_alone() -> None:
    """User, group and further groups are the account's, and the arguments arrive as given."""
    account = Account.unprivileged()
    done = subprocess.run(
        account.command(["/bin/sh", "-c", "id -u; id -g; id -G; echo $1", "sh", "a b"]),
        capture_output=True,
        text=True,
        check=True,
    )
    uid, gid, groups, argument = done.stdout.splitlines()
    assert argument == "a b"
    if account.uid is None:
        assert uid == str(os.getuid())
    else:
        assert (uid, gid, groups) == (str(account.uid), str(account.gid), str(account.gid))


def test_no_handler_of_a_fork_runs() -> None:
    """A library's handlers, which crash a child of gRPC's or say something in it, do not run: nothing is forked."""
    done = subprocess.run([sys.executable, "-c", BESIDE_GRPC], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "fork() handlers" not in done.stderr


def test_folders_that_nothing_leads_to_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose place is gone; not one in use or in the making. One that another sandbox just removed is no error."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    left, used, made, gone = (tmp_path / f"prefect-fly-postgres-{name}" for name in ("left", "used", "made", "gone"))
    for folder in (left, used, made):
        (folder / "data").mkdir(parents=True)
    for folder in (left, used):
        (folder / "belongs-to").write_text(str(tmp_path / folder.name.rpartition("-")[2]))
    (tmp_path / "used").symlink_to(used / "data")
    # Listed and not there, as a folder that is removed between the two looks.
    gone.symlink_to(tmp_path / "nowhere")
    unprivileged._sweep()
    assert [folder.exists() for folder in (left, used, made)] == [False, True, True]
