"""The image's relay on real sockets: what it holds, what it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prefect_server import relay
from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.relay import BOUND, CONNECTIONS, Relay

from tests.support.waiting import until

SOURCE = Path(__file__).resolve().parents[3] / "docker" / "prefect"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


def message(connection: int = 1, data: bytes = b"", **changes: Any) -> dict[str, Any]:
    given = {"connection": connection, "offset": 0, "data": b64encode(data).decode(), "received": 0}
    return given | {"most": 1000, "wait": 60.0, "close": False} | changes


def data_of(answer: dict[str, Any]) -> bytes:
    return b64decode(answer["data"])


@asynccontextmanager
async def database(handler: Handler) -> AsyncIterator[Relay]:
    """Run a server that is no database, and lend a relay to it; nothing is left open."""
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await handler(reader, writer)
        writer.close()
        await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        made = Relay("127.0.0.1", server.sockets[0].getsockname()[1])
        yield made
        for connection in made._connections.values():
            connection.close()
            if connection._writer:
                await connection._writer.wait_closed()
        await asyncio.gather(*tasks)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes."""
    while piece := await reader.read(1000):
        writer.write(piece)


def test_a_repeated_message_changes_nothing() -> None:
    """What was sent twice reaches the database once, and what was not acknowledged is answered again."""

    async def talk() -> None:
        async with database(echo) as held:
            first = await held.answer(message(data=b"hello"))
            again = await held.answer(message(data=b"hello"))
            assert data_of(first) == data_of(again) == b"hello"
            assert again["received"] == 5
            more = await held.answer(message(data=b"lo!", offset=3, received=5))
            assert (data_of(more), more["offset"]) == (b"!", 5)

    asyncio.run(talk())


def test_the_database_is_stopped_when_nobody_fetches() -> None:
    """It keeps a bounded number of bytes, and all of them are there for whoever comes later."""
    size = 40 * 2**20
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while sent < size:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async def talk() -> None:
        async with database(flood) as held:
            answer = await held.answer(message(most=BOUND))
            assert len(data_of(answer)) == BOUND
            assert sent < size
            received, ended = 0, ""
            while not ended:
                received += len(data_of(answer))
                answer = await held.answer(message(received=received, most=BOUND))
                assert held._connections[1]._end.waiting <= BOUND + 65_536
                ended = answer["ended"]
            assert received + len(data_of(answer)) == size
            assert ended == "the database closed the connection"

    asyncio.run(talk())


def test_a_slow_database_is_not_overrun() -> None:
    """What it does not read yet is not taken, so it is sent again later and arrives whole."""
    piece, pieces = b"y" * (4 * 2**20), 10
    go, whole = asyncio.Event(), asyncio.Event()
    received = 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await go.wait()
        while got := await reader.read(2**20):
            received += len(got)
        whole.set()

    async def talk() -> None:
        async with database(slow) as held:
            offset = 0
            for _ in range(pieces):
                answer = await held.answer(message(data=piece, offset=offset, wait=0.0))
                offset = answer["received"]
            assert offset < pieces * len(piece)
            go.set()
            while offset < pieces * len(piece):
                answer = await held.answer(message(data=piece, offset=offset, wait=0.01))
                offset = answer["received"]
            await held.answer(message(offset=offset, wait=0.0, close=True))
            await whole.wait()
            assert received == offset

    asyncio.run(talk())


def test_what_cannot_be_opened() -> None:
    """A refused port and a name that does not resolve are told, again when asked again; there is a limit of lines."""

    async def talk() -> None:
        shut = Relay("127.0.0.1", 9)
        assert "Connect call failed" in (await shut.answer(message()))["refused"]
        assert "Connect call failed" in (await shut.answer(message()))["refused"]
        assert "refused" in await Relay("no.such.name.invalid", 5432).answer(message())
        async with database(echo) as held:
            for number in range(1, CONNECTIONS + 1):
                await held.answer(message(number, wait=0.0))
            assert await held.answer(message(99)) == {"refused": f"{CONNECTIONS} connections are open already"}
            await held.answer(message(1, wait=0.0, close=True))
            assert "ended" in await held.answer(message(98, wait=0.0))
            # A late copy of what began the first one opens nothing.
            assert (await held.answer(message(1)))["ended"] == "it was closed"

    asyncio.run(talk())


@contextmanager
def program(tmp_path: Path, idle: float) -> Iterator[subprocess.Popen[str]]:
    """Run the verb as the image does, for so many seconds without a question at most."""
    address = {"PREFECT_FLY_RELAY_HOST": "127.0.0.1", "PREFECT_FLY_RELAY_PORT": "9"}
    with subprocess.Popen(
        # -S: no package can be imported.
        [sys.executable, "-S", "-c", "import os; from prefect_server.relay import relay; relay(os.environ)"],
        cwd=SOURCE,
        env={**os.environ, **address, "PREFECT_FLY_RELAY_IDLE": str(idle), "TMPDIR": str(tmp_path)},
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def ask(tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-S", "-m", "prefect_server.exchange"],
        cwd=SOURCE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def test_two_programs_of_the_standard_library(tmp_path: Path) -> None:
    """The command hands a message over, one that was cut is told as that, and so is that nobody answers."""
    with program(tmp_path, idle=3600.0) as running:
        # Until somebody listens it says that nobody does.
        ready = until(lambda: ask(tmp_path, '{"connection": 0}').stdout or running.poll())
        assert json.loads(str(ready)) == {"ready": True}
        assert "unreadable" in json.loads(ask(tmp_path, '{"connection": 1, "offs').stdout)
        assert "Connect call failed" in json.loads(ask(tmp_path, json.dumps(message())).stdout)["refused"]
    silent = ask(tmp_path, "{}")
    assert (silent.returncode, silent.stdout) == (1, "")
    assert "no relay answers here" in silent.stderr


def test_without_questions_the_relay_ends(tmp_path: Path) -> None:
    """By itself, and well: nobody is told of what a killed caller leaves."""
    with program(tmp_path, idle=0.1) as running:
        assert running.wait() == 0


def test_it_does_not_guess_where_to() -> None:
    """Without host and port it ends with a sentence, and connects to nothing that a message could name."""
    with pytest.raises(VerbError, match="--reach machine") as raised:
        relay.relay({"PREFECT_FLY_RELAY_HOST": "db"})
    assert raised.value.code == ExitCode.BAD_SETTINGS
