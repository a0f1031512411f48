"""Processes, the engine's above all, as Linux tells of them in /proc."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def below(pid: int) -> set[int]:
    """Return a process and everything that it started."""
    parents: dict[int, list[int]] = {}
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            parents.setdefault(int(_stat(folder)[1]), []).append(int(folder.name))
    found, waiting = {pid}, [pid]
    while waiting:
        started = parents.get(waiting.pop(), [])
        found.update(started)
        waiting += started
    return found


def engine_in(folder: Path) -> int | None:
    """Return the Pulumi CLI that this process has running in a folder."""
    for pid in below(os.getpid()):
        with suppress(OSError):
            words = (_PROC / str(pid) / "cmdline").read_text().split("\0")
            if Path(words[0]).name == "pulumi" and (_PROC / str(pid) / "cwd").resolve() == folder.resolve():
                return pid
    return None


def with_variable(entry: str) -> set[int]:
    """Return the processes that were started with this variable, given as NAME=value."""
    found = set()
    for folder in _PROC.glob("[0-9]*"):
        with suppress(OSError):
            if entry in (folder / "environ").read_bytes().decode(errors="replace").split("\0"):
                found.add(int(folder.name))
    return found


def end(pids: Iterable[int]) -> None:
    """Kill these; one that has ended meanwhile is passed over."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def running(pid: int) -> bool:
    """Tell whether it has not ended; one that only nobody has collected has."""
    with suppress(OSError):
        return _stat(_PROC / str(pid))[0] != "Z"
    return False


def born(pid: int) -> str:
    """Return when it started, in the kernel's ticks, which tells it from a later one of that number; else nothing."""
    with suppress(OSError):
        return _stat(_PROC / str(pid))[19]
    return ""


def cpu_seconds(pid: int) -> float:
    """Return the processor time so far of a process and of all that it started."""
    found = 0.0
    for each in below(pid):
        with suppress(OSError):
            # Its own, and that of its children which have ended.
            found += sum(map(int, _stat(_PROC / str(each))[11:15])) / os.sysconf("SC_CLK_TCK")
    return found


def resident_mb(pid: int) -> float:
    """Return the memory of a process, MB."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def holder(port: int, among: set[int]) -> int | None:
    """Return which of these processes has the end of a loopback connection with this local port."""
    ends = [line.split() for line in (_PROC / "net" / "tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{end[9]}]" for end in ends if int(end[1].rpartition(":")[2], 16) == port}
    for pid in among:
        with suppress(OSError):
            if any(str(file.readlink()) in sockets for file in (_PROC / str(pid) / "fd").iterdir()):
                return pid
    return None


def _stat(folder: Path) -> list[str]:
    """Return what stands behind a process's name: its state, its parent and the rest."""
    return (folder / "stat").read_text().rpartition(")")[2].split()
