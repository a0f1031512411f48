"""What a program in the test's process leaves behind when its engine is lost: no event loop, whatever fails meanwhile.

One that is left open is a warning in some later test.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from pulumi.automation import _server

from tests.support.inline import ClosingServer, close, surroundings
from tests.support.waiting import PATIENCE


class LostEngine(grpc.RpcError):
    """What a call says of an engine that was killed."""


async def _nobody_awaits() -> None:
    raise LostEngine


async def _fails_on_its_way_out() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        task = asyncio.create_task(_nobody_awaits())
        await asyncio.wait([task])
        del task
        gc.collect()  # says here that nobody asked, upon which Pulumi's handler stops the loop
        await asyncio.sleep(0)


def test_a_loop_that_pulumi_stops_is_closed_all_the_same() -> None:
    """Its tasks end first."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(ClosingServer(lambda: None)._exception_handler)
    task = loop.create_task(_fails_on_its_way_out())
    loop.run_until_complete(asyncio.sleep(0))
    close(loop)
    assert loop.is_closed()
    assert task.cancelled()


def test_each_of_two_programs_closes_its_own_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one whose engine is lost may end while the next one begins."""
    begun, first_ended = threading.Event(), threading.Event()
    made: list[asyncio.AbstractEventLoop] = []

    def run(_self: Any, request: str, _context: object) -> None:
        if request == "first":
            made.append(vars(_server)["asyncio"].new_event_loop())
            assert begun.wait(PATIENCE)
            return
        begun.set()
        assert first_ended.wait(PATIENCE)
        made.append(vars(_server)["asyncio"].new_event_loop())

    monkeypatch.setattr(_server.LanguageServer, "Run", run)
    server = ClosingServer(lambda: None)
    with ThreadPoolExecutor(2) as pool, surroundings({}):
        first = pool.submit(server.Run, "first", None)
        second = pool.submit(server.Run, "second", None)
        first.result(PATIENCE)
        assert [loop.is_closed() for loop in made] == [True]
        first_ended.set()
        second.result(PATIENCE)
    assert [loop.is_closed() for loop in made] == [True, True]
