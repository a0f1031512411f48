"""Ports that stay free for their owner between two runs.

A port the system picks (bind to 0) lies in the range it also takes outgoing connections from, so that after a stop any
program's connection may sit on it when it is wanted again. Ports below that range are only taken on purpose, and where
several sandboxes start and stop beside each other, the variable SANDBOX_PORTS gives each its own part of them.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Iterable, Iterator
from typing import Protocol

PORTS = range(15_000, 32_000)
"""Linux takes outgoing connections from 32768 up."""

VARIABLE = "SANDBOX_PORTS"
"""FIRST-LAST: the ports to choose from, instead of all of PORTS."""

_TRIES = 100


class PortsError(ValueError):
    """The variable does not name ports."""


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
    """Yield the ports to try in turn: only `wanted` when it is given, else random ones and at last 0 (any).

    Raises:
        PortsError: SANDBOX_PORTS does not name ports.
    """
    if wanted:
        yield wanted
        return
    ours = _ours()
    # Not for secrets: a port that is taken is simply passed over.
    yield from random.sample(ours, min(_TRIES, len(ours)))
    yield 0


def _ours() -> range:
    if not (stated := os.environ.get(VARIABLE)):
        return PORTS
    first, _, last = stated.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) < 65_536):
        raise PortsError(f'could not use {VARIABLE} = "{stated}": state it as FIRST-LAST, for example 20000-20999')
    return range(int(first), int(last) + 1)


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
