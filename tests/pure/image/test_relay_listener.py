"""The port on a person's machine, the image's relay and something behind it: bytes there and back, whatever is lost."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prefect_server.relay import Relay as ImageRelay

from ops import relay_listener
from ops.relay import ExchangeLostError, Relay, RelayError
from ops.relay_listener import FIRST, LARGEST, SMALLEST, PieceSize, RelayedPort
from tests.support.waiting import PATIENCE

Answer = dict[str, Any]
Ask = Callable[[Mapping[str, Any]], Answer]


@dataclass
class Far:
    """The image's relay before an echo, both on a loop of their own, as they are on a machine of their own."""

    loop: asyncio.AbstractEventLoop
    relay: ImageRelay = field(default_factory=lambda: ImageRelay("127.0.0.1", 9))

    def answer(self, message: Mapping[str, Any]) -> Answer:
        """Answer as the relay does; called from the other thread."""
        return asyncio.run_coroutine_threadsafe(self.relay.answer(message), self.loop).result(PATIENCE)

    async def start(self) -> asyncio.Server:
        """Start the echo, and a relay to it."""
        server = await asyncio.start_server(self._echo, "127.0.0.1", 0)
        self.relay = ImageRelay("127.0.0.1", server.sockets[0].getsockname()[1])
        return server

    async def stop(self, server: asyncio.Server) -> None:
        """Leave nothing open."""
        for connection in self.relay._connections.values():
            connection.close()
            if connection._writer:
                await connection._writer.wait_closed()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setattr(relay_listener, "_FIRST_PAUSE", 0.0)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = Far(loop)
    server = asyncio.run_coroutine_threadsafe(made.start(), loop).result(PATIENCE)
    yield made
    asyncio.run_coroutine_threadsafe(made.stop(server), loop).result(PATIENCE)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class Near:
    """Stands for `ops.relay.Relay`; `ask` answers. `told` is what people are told."""

    def __init__(self, ask: Ask) -> None:
        self.exchange, self.place = ask, "machine m"
        self.told: list[str] = []
        self.fly = SimpleNamespace(progress=self.told.append)
        self.numbers = iter(range(1, 100))


def numbered(size: int) -> bytes:
    """So many bytes, of which no two places look alike."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4))


async def echoed(port: RelayedPort, data: bytes) -> bytes:
    """Send data through the port while reading what comes back."""
    reader, writer = await asyncio.open_connection(relay_listener.LOOPBACK, port.number)

    async def send() -> None:
        writer.write(data)
        await writer.drain()

    sending = asyncio.create_task(send())
    got = b""
    while len(got) < len(data) and (piece := await reader.read(2**20)):
        got += piece
    await asyncio.gather(sending, return_exceptions=True)
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return got


def through(ask: Ask, data: bytes) -> tuple[bytes, RelayedPort, Near]:
    """Send data there and back; return what came."""
    near = Near(ask)

    async def run() -> tuple[bytes, RelayedPort]:
        async with RelayedPort(cast("Relay", near), 'database "x"').listening() as port:
            return await echoed(port, data), port

    got, port = asyncio.run(run())
    return got, port, near


def test_lost_requests_and_answers(far: Far) -> None:
    """Most exchanges are lost, before or after they had their effect: each byte comes back once, in order."""
    fates = itertools.cycle(("arrives", "request", "answer", "arrives", "answer", "answer", "request"))

    def lossy(message: Mapping[str, Any]) -> Answer:
        fate = next(fates)
        if fate == "request":
            raise ExchangeLostError(fate)
        answer = far.answer(message)
        if fate == "answer":
            raise ExchangeLostError(fate)
        return answer

    data = numbered(700_000)
    got, port, near = through(lossy, data)
    assert got == data
    assert port.failure is None
    assert any("gave no answer (answer); trying again with" in line for line in near.told)


def test_pieces_grow_until_one_is_too_large(far: Far) -> None:
    """Answers beyond what a command may write are cut; those that follow are smaller."""
    limit, lost, largest = 600 * 2**10, 0, 0

    def limited(message: Mapping[str, Any]) -> Answer:
        nonlocal lost, largest
        answer = far.answer(message)
        largest = max(largest, int(message["most"]))
        if len(answer["data"]) > limit or len(message["data"]) > limit:
            lost += 1
            raise ExchangeLostError("cut")
        return answer

    data = numbered(2 * 2**20)
    got, _, _ = through(limited, data)
    assert got == data
    assert lost == 1
    assert largest == 2 * FIRST


def test_it_gives_up(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing comes back any more the connection ends, and the reason is kept for whoever used it."""
    monkeypatch.setattr(relay_listener, "_LONGEST_PAUSE", 0.0)

    def silent(_message: Mapping[str, Any]) -> Answer:
        raise ExchangeLostError("no answer within 55 s")

    got, port, _ = through(silent, b"hello")
    assert got == b""
    assert str(port.failure) == "could not go on through machine m: no answer within 55 s. Run it again."


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"refused": "no such name"}, 'could not reach database "x" from machine m: no such name. Check host and port'),
        ({"offset": 7, "data": "", "received": 0}, "its answer does not fit (StreamGapError: 7 bytes are missing)"),
        ({"offset": 0, "data": 1}, "its answer does not fit (KeyError: 'received')"),
    ],
)
def test_what_cannot_go_on(far: Far, answer: Answer, says: str) -> None:
    """A database that the machine does not reach, and an answer that does not fit, end the connection with a reason."""
    got, port, _ = through(lambda _message: answer, b"hello")
    assert got == b""
    assert says in str(port.failure)


def test_a_relay_that_is_over(far: Far) -> None:
    """What the relay says for good is not asked again."""
    asked = 0

    def over(_message: Mapping[str, Any]) -> Answer:
        nonlocal asked
        asked += 1
        raise RelayError("the relay has ended.")

    _, port, _ = through(over, b"hello")
    assert (str(port.failure), asked) == ("the relay has ended.", 1)


def test_sizes() -> None:
    """They double while full, up to a limit; a lost one halves them, and much later a larger one is tried."""
    size = PieceSize()
    size.arrived(full=False)
    assert size.now == FIRST
    for _ in range(9):
        size.arrived(full=True)
    assert size.now == LARGEST
    size.lost()
    for _ in range(15):
        size.arrived(full=True)
    assert size.now == LARGEST // 2
    size.arrived(full=True)
    assert size.now == LARGEST
    for _ in range(20):
        size.lost()
    assert size.now == SMALLEST
