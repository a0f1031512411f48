"""Programs that are killed when whoever started them is, so that even a killed sandbox leaves no server behind.

The kernel is asked by the child itself, before it becomes the program: a `preexec_fn` would run Python in the fork of a
process with many threads, where a lock that another thread held stays locked for ever.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1


def bound_to_parent(argv: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Return the command that runs `argv` and is killed when this process ends, on Linux; elsewhere it outlives it.

    Raises:
        FileNotFoundError: `argv` names no program that the environment's PATH leads to.
    """
    program = shutil.which(argv[0], path=environment.get("PATH"))
    if program is None:
        raise FileNotFoundError(2, "No such program", argv[0])
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), program, *argv]


def main(argv: Sequence[str]) -> None:
    """Become the program `argv[1]` with the arguments `argv[2:]`, unless the parent `argv[0]` has ended already."""
    parent, program, *arguments = argv
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):
            return
    os.execv(program, arguments)  # noqa: S606 - the very command that it was started for


if __name__ == "__main__":
    main(sys.argv[1:])
