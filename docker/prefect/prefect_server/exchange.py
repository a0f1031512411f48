"""Hands one message to the relay of this machine: `python -m prefect_server.exchange`, run beside the verb `relay`.

The message comes on standard input and the relay's answer goes to standard output, each one JSON object. It is started
for every piece of a backup, so it imports next to nothing.
"""

from __future__ import annotations

import os
import socket
import sys

SOCKET = "prefect-fly-relay.sock"
_SECONDS = 30.0  # the relay answers within a few, a new connection to the database included


def folder() -> str:
    """Return where the socket is. It is bound from there, by its bare name: a long path would not fit."""
    return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the machine is the relay's alone


def exchange(message: bytes) -> bytes:
    """Return the relay's answer.

    Raises:
        OSError: no relay runs here, or it does not answer.
    """
    os.chdir(folder())
    with socket.socket(socket.AF_UNIX) as way:
        way.settimeout(_SECONDS)
        way.connect(SOCKET)
        way.sendall(message)
        way.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := way.recv(1 << 20):
            answer += piece
        return answer


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(exchange(sys.stdin.buffer.read()))
    except OSError as silence:
        sys.exit(f"no relay answers here: {silence}")
