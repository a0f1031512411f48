"""Ports that stay free for their owner between two runs.

A port the system picks (bind to 0) lies in the range it also takes outgoing connections from, so that after a stop any
program's connection may sit on it when it is wanted again. Ports below that range are only taken on purpose.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Iterable, Iterator
from typing import Protocol

_FIRST, _LAST = 15_000, 32_000  # Linux takes outgoing connections from 32768 up
_TRIES = 100


class Listening(Protocol):
    """A socket that takes connections, or what asyncio shows of one."""

    def fileno(self) -> int:
        """Return its number."""


async def take_nobody_new(listening: Iterable[Listening]) -> None:
    """Let the running loop take no more connections from these sockets, and see through those that it has just taken.

    For the moment before their server is closed: asyncio of Python 3.11 loses a connection that was taken right before,
    without closing it.
    """
    for each in listening:
        asyncio.get_running_loop().remove_reader(each)
    await asyncio.sleep(0)


def port_candidates(wanted: int = 0) -> Iterator[int]:
    """Yield the ports to try in turn: only `wanted` when it is given, else random ones and at last 0 (any)."""
    if wanted:
        yield wanted
        return
    # Not for secrets: a port that is taken is simply passed over.
    yield from random.sample(range(_FIRST, _LAST), _TRIES)
    yield 0


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port on which nobody listens at this moment, for a program that opens it itself."""
    for candidate in port_candidates():
        with socket.socket() as probe:
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free")
