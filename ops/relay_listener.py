"""A port of this machine that leads to the database through a relay: what a database driver connects to.

Two bounds shape it. Fly allows one command a second in a machine, so as much as possible goes into each. And nobody
knows how much a command may read and write, so the pieces begin small and grow until an answer does not come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from ops.relay import ExchangeLostError, Relay, RelayError
from ops.stream_end import StreamEnd, StreamGapError

LOOPBACK = "127.0.0.1"
SMALLEST, FIRST, LARGEST = 16 * 2**10, 256 * 2**10, 4 * 2**20
"""Bytes of a piece, before it is spelled as base64."""

_PROBE_AFTER = 16
_ATTEMPTS = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 8.0
_ANSWER_SECONDS = 1.0
_THINK_SECONDS = 0.05
_READ = 65_536


class PieceSize:
    """How large the next piece may be: twice as large after one that was full, half after one that got lost.

    What got lost may have been too large, or it was a bad moment: after many full ones a larger one is tried again.
    """

    def __init__(self) -> None:
        self.now = FIRST
        self._most = LARGEST
        self._full = 0

    def arrived(self, *, full: bool) -> None:
        """Take note of an answer."""
        if not full:
            return
        self._full += 1
        if self._full >= _PROBE_AFTER:
            self._full, self._most = 0, min(self._most * 2, LARGEST)
        self.now = min(self.now * 2, self._most)

    def lost(self) -> None:
        """Take note that there was none."""
        self.now = self._most = max(self.now // 2, SMALLEST)
        self._full = 0


class RelayedPort:
    """The port.

    Attributes:
        number: of the port.
        failure: why a connection through it broke, None while none did.

    Args:
        relay: holds the connections.
        place: the database for people.
    """

    def __init__(self, relay: Relay, place: str) -> None:
        self.number = 0
        self.failure: RelayError | None = None
        self._relay, self._place = relay, place
        self._size = PieceSize()
        self._running: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[RelayedPort]:
        """Listen for the block."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._carry(next(self._relay.numbers), reader, writer))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        server = await asyncio.start_server(accept, LOOPBACK, 0)
        self.number = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await server.wait_closed()
            # Each says goodbye to the database, unless that takes too long.
            if running := set(self._running):
                await asyncio.wait(running, timeout=10 * _ANSWER_SECONDS)
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)

    async def _carry(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self, number, reader, writer)
        try:
            await connection.run()
        except RelayError as error:
            self.failure = self.failure or error
        finally:
            writer.close()
            # What is not closed when the loop ends is lost, open.
            with suppress(OSError):
                await writer.wait_closed()

    async def exchange(self, message: Callable[[int], dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        """Exchange `message(most bytes)` until there is an answer; return it and how many bytes it could have had.

        Raises:
            RelayError: there is none.
        """
        pause, why = _FIRST_PAUSE, ""
        for _ in range(_ATTEMPTS):
            most = self._size.now
            try:
                return most, await asyncio.to_thread(self._relay.exchange, message(most))
            except ExchangeLostError as lost:
                why = str(lost)
            self._size.lost()
            self._relay.fly.progress(
                f"{self._relay.place} gave no answer ({why}); trying again with {self._size.now // 1024} KB"
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise RelayError(f"could not go on through {self._relay.place}: {why}. Run it again.")

    def refusal(self, why: str) -> RelayError:
        """Return the error for a database that the machine does not reach."""
        return RelayError(
            f"could not reach {self._place} from {self._relay.place}: {why}. Check host and port of the URL; the "
            "database has to be reached by that app's network, as the server reaches it."
        )

    def nonsense(self, wrong: Exception) -> RelayError:
        """Return the error for an answer that does not fit."""
        why = f"its answer does not fit ({type(wrong).__name__}: {wrong})"
        return RelayError(f"could not go on through {self._relay.place}: {why}. Run it again.")

    def arrived(self, *, full: bool) -> None:
        """Take note of how large pieces may be."""
        self._size.arrived(full=full)


class _Connection:
    """One connection of the driver, carried to the database and back."""

    def __init__(
        self, port: RelayedPort, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._port, self._number = port, number
        self._reader, self._writer = reader, writer
        self._end, self._closed = StreamEnd(), False
        self._news, self._room = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Carry until one of both closes it.

        Raises:
            RelayError: it cannot go on.
        """
        collecting = asyncio.create_task(self._collect())
        try:
            while await self._exchange():
                pass
        except (StreamGapError, KeyError, TypeError, ValueError) as wrong:
            raise self._port.nonsense(wrong) from wrong
        except OSError:
            # The driver has gone, with its own error.
            return
        finally:
            collecting.cancel()
            await asyncio.wait([collecting])

    async def _collect(self) -> None:
        with suppress(OSError):
            while piece := await self._reader.read(_READ):
                self._end.send(piece)
                self._news.set()
                while self._end.waiting >= 2 * LARGEST:
                    self._room.clear()
                    await self._room.wait()
        self._closed = True
        self._news.set()

    async def _exchange(self) -> bool:
        """Bring what there is, and fetch what there is; tell whether there may be more."""
        if not self._end.waiting and not self._closed:
            # What the driver answers to the last piece had better be in this one.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _THINK_SECONDS)
        self._news.clear()
        closing, waiting = self._closed and not self._end.waiting, self._end.waiting

        def message(most: int) -> dict[str, Any]:
            wait = 0.0 if closing or waiting > most else _ANSWER_SECONDS
            about = {"connection": self._number, "most": most, "wait": wait, "close": closing}
            return about | self._end.message(most)

        most, answer = await self._port.exchange(message)
        if refused := answer.get("refused"):
            raise self._port.refusal(str(refused))
        self._end.acknowledge(answer)
        self._room.set()
        data = self._end.take(answer)
        self._port.arrived(full=max(len(data), waiting) >= most)
        self._writer.write(data)
        await self._writer.drain()
        return not closing and not answer["ended"]
