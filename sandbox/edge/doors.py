"""The edge's ports: held for an app for ever, open while its name leads somewhere."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass

from sandbox.core.ports import port_candidates


@dataclass
class Door:
    """An app's port: held by a socket that does not listen, or open."""

    port: int
    holder: socket.socket | None
    server: asyncio.Server | None = None
    opening: asyncio.Task[None] | None = None
    closing: asyncio.Task[None] | None = None
    resolved: bool = False


def hold(port: int, *, exactly: bool = False) -> socket.socket:
    """Bind a port without listening on it: nobody else gets it, and connecting to it is refused.

    Raises:
        OSError: exactly this port is wanted and somebody else has it; otherwise any free one is taken then.
    """
    problem = OSError("no port to hold")
    wanted = [port] if port else []
    for candidate in [*wanted, *([] if exactly else port_candidates())]:
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if candidate == port:  # its own last connections may linger in TIME_WAIT
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", candidate))
        except OSError as taken:
            holder.close()
            problem = taken
            continue
        holder.setblocking(False)
        return holder
    raise problem
