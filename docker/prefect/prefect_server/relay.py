"""The verb `relay`: holds connections to the stack's database for somebody whose network does not reach it.

What the database sends is kept here until `prefect_server.exchange`, run in this machine for each piece, has brought it
away; what is to be sent comes the same way. The bytes are those of a Postgres session, encrypted from end to end where
the database has TLS: no credential of the database is needed or known here. It connects to the one address that it was
started with, and ends by itself when nobody asks any more. Nothing but the standard library is imported.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect_server.exchange import SOCKET, folder
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.stream_end import StreamEnd, StreamGapError

HOST, PORT, IDLE = "PREFECT_FLY_RELAY_HOST", "PREFECT_FLY_RELAY_PORT", "PREFECT_FLY_RELAY_IDLE"

BOUND = 8 * 2**20  # bytes that are kept in each direction; beyond that the sender has to wait
CONNECTIONS = 4  # at a time: one works, a second may cancel what it does
_CONNECT_SECONDS = 10.0
_QUIET_SECONDS = 0.05  # an answer of the database that pauses so long is taken for whole
_PIECE = 65_536


def relay(environ: Mapping[str, str]) -> int:
    """Relay until nobody asks any more.

    Raises:
        VerbError: it is not said where to.
    """
    try:
        host, port, idle = environ[HOST], int(environ[PORT]), float(environ[IDLE])
    except (KeyError, ValueError) as error:
        sentence = f'could not relay: {HOST}, {PORT} and {IDLE} are set by "python -m ops backup --reach machine" alone'
        raise VerbError(ExitCode.BAD_SETTINGS, sentence) from error
    os.chdir(folder())
    Path(SOCKET).unlink(missing_ok=True)
    asyncio.run(Relay(host, port).serve(idle))
    return ExitCode.OK


class Connection:
    """One connection to the database.

    Attributes:
        turn: messages of one connection are answered one after the other.
        ended: why the database sends nothing more; empty while it may.
    """

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.ended = self._refused = ""
        self._end = StreamEnd()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def open(self, host: str, port: int) -> str:
        """Connect, the first time; return why that failed, empty when it did not."""
        if self._writer or self._refused:
            return self._refused
        try:
            reader, self._writer = await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_SECONDS)
        except TimeoutError:
            self._refused = f"no answer within {_CONNECT_SECONDS:.0f} s"
        except OSError as error:
            self._refused = str(error)
        else:
            self._reading = asyncio.create_task(self._read(reader))
        self.ended = self._refused
        return self._refused

    async def exchange(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Pass on what the message brings, and answer with what the database sent.

        Raises:
            StreamGapError: the message does not continue what was said before.
        """
        self._end.acknowledge(message)
        self._room.set()
        writer = self._writer
        # What is not taken is sent again: the database is slower than the sender.
        if writer and not self.ended and writer.transport.get_write_buffer_size() < BOUND:
            writer.write(self._end.take(message))
        most = int(message["most"])
        await self._wait_for(most, float(message["wait"]))
        whole = self._end.waiting <= most
        return {**self._end.message(most), "ended": self.ended if whole else ""}

    def close(self) -> None:
        """Let go of the database."""
        self.ended = self.ended or "it was closed"
        if self._reading:
            self._reading.cancel()
        if self._writer:
            self._writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        why = "the database closed the connection"
        try:
            while piece := await reader.read(_PIECE):
                self._end.send(piece)
                self._news.set()
                while self._end.waiting >= BOUND:
                    self._room.clear()
                    await self._room.wait()
        except OSError as error:
            why = str(error)
        self.ended = self.ended or why
        self._news.set()

    async def _wait_for(self, most: int, seconds: float) -> None:
        """Wait for `most` bytes, or for a pause after fewer of them, for so many seconds at most."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while not self.ended and self._end.waiting < most:
            self._news.clear()
            left = deadline - clock()
            try:
                await asyncio.wait_for(self._news.wait(), min(left, _QUIET_SECONDS) if self._end.waiting else left)
            except TimeoutError:
                return


class Relay:
    """Answers messages about connections to one address.

    Args:
        host: the database's host.
        port: and its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._connections: dict[int, Connection] = {}
        self._over = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = 0.0

    async def serve(self, idle: float) -> None:
        """Answer until nobody has asked for `idle` seconds."""
        self._idle = idle
        self._asked()
        async with await asyncio.start_unix_server(self._serve, SOCKET):
            await self._over.wait()
        for connection in self._connections.values():
            connection.close()

    def _asked(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle, self._over.set)

    async def answer(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one message: the bytes, or why there is no connection as `refused`. Number 0 only asks for a sign.

        Raises:
            StreamGapError: it does not fit those before it.
        """
        number = int(message["connection"])
        if not number:
            return {"ready": True}
        connection = self._connections.get(number)
        if connection is None:
            if len([each for each in self._connections.values() if not each.ended]) >= CONNECTIONS:
                return {"refused": f"{CONNECTIONS} connections are open already"}
            # It is kept when it is over: a late copy of its first message must not open another.
            connection = self._connections[number] = Connection()
        async with connection.turn:
            if refused := await connection.open(self._host, self._port):
                return {"refused": refused}
            answer = await connection.exchange(message)
            if message["close"]:
                connection.close()
        return answer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._asked()
        # Whoever asked may be gone by now; it asks again.
        with suppress(OSError):
            try:
                answer = await self.answer(json.loads(await reader.read()))
            except (StreamGapError, KeyError, TypeError, ValueError) as error:
                answer = {"unreadable": f"{type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode())
            await writer.drain()
        self._asked()
        writer.close()
