"""A flood of requests with a wrong key, from a process of its own that costs next to nothing.

    .venv/bin/python -m bench.flood PORT     (until SIGTERM; then prints how many of each status there were)

They come at random moments, whether or not others wait, over connections that stay open: what many strangers do.
Nothing is parsed but the status, so that the flood does not take the processor that the server needs.
"""

from __future__ import annotations

import json
import random
import select
import signal
import socket
import sys
import time
from collections import Counter

A_SECOND, CONNECTIONS = 1000, 50
REQUEST = b"GET /api/flows/count HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer a-wrong-key\r\n\r\n"
_STATUS = slice(9, 12)
_END = b"}"  # of the JSON that every refusal is


class EndedError(Exception):
    """SIGTERM came."""


def _end(_number: int, _frame: object) -> None:
    raise EndedError


def flood(port: int, answers: Counter[str]) -> None:
    """Send until SIGTERM; a moment at which every connection waits for its answer is one request less.

    Raises:
        EndedError: SIGTERM came.
    """
    moments = random.Random(1)  # noqa: S311 - when to send
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    waiting: dict[socket.socket, bytes] = {}
    print("ready", flush=True)
    following = time.perf_counter()
    while True:
        following += moments.expovariate(A_SECOND)
        while (left := following - time.perf_counter()) > 0:
            for connection in select.select([*waiting], [], [], left)[0]:
                if not (piece := connection.recv(65536)):
                    raise ConnectionResetError("the server closed a connection of the flood")
                waiting[connection] += piece
                if piece.endswith(_END):
                    answers[waiting.pop(connection)[_STATUS].decode()] += 1
                    idle.append(connection)
        if idle:
            connection = idle.pop(0)
            connection.sendall(REQUEST)
            waiting[connection] = b""


def main() -> None:
    """Flood the port that was given."""
    signal.signal(signal.SIGTERM, _end)
    answers: Counter[str] = Counter()
    try:
        flood(int(sys.argv[1]), answers)
    except EndedError:
        print(json.dumps(answers), flush=True)


if __name__ == "__main__":
    main()
