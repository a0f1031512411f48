"""Programs that end with whoever started them, on real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.core.child import bound_to_parent
from toolchain.places import ROOT

PARENT = """
import os, subprocess, sys
from sandbox.core.child import bound_to_parent
child = subprocess.Popen(bound_to_parent(["cat"], os.environ), stdin=0, stdout=1)
sys.stderr.write("started")
sys.stderr.close()
os.read({gate}, 1)
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel ends children with their parent")
def test_a_killed_parent_takes_its_child_along() -> None:
    """The child runs as long as its parent lives; then its pipe closes although nobody ended it."""
    gate, go = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(gate=gate)],
        cwd=ROOT,
        pass_fds=[gate],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        os.close(gate)
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(b"a line\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == b"a line\n"
        os.write(go, b"x")
        os.close(go)
        # `cat` still has its input: only its death closes the pipe.
        assert parent.stdout.read() == b""


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It fails before anything is started."""
    with pytest.raises(FileNotFoundError, match="nothing-like-it"):
        bound_to_parent(["nothing-like-it"], {"PATH": str(tmp_path)})


def test_the_program_gets_its_own_arguments(tmp_path: Path) -> None:
    """Its argv is the one asked for, its name included, and it keeps the process id."""
    command = bound_to_parent([sys.executable, "-c", "import os, sys; print(os.getpid(), sys.argv)", "-x"], os.environ)
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        said, _ = process.communicate()
    assert said == f"{process.pid} ['-c', '-x']\n"
