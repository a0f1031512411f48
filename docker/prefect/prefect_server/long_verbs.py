"""What the verbs that change the schema share: their lines, their turn and their time limit."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect_server.exit_codes import ExitCode
from prefect_server.settings import ServerSettings

LOCK_PAUSE_SECONDS = 0.5


@contextmanager
def time_limit(settings: ServerSettings, verb: str) -> Iterator[None]:
    """End the process with TIMEOUT when the block takes too long."""
    # A thread, because the migrations run in one that nothing in Python can interrupt. The session's end takes the
    # unfinished statement and the lock with it.
    watchdog = threading.Timer(settings.migrate_timeout, _give_up, [verb, settings.migrate_timeout])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _give_up(verb: str, seconds: float) -> None:
    say(f"{verb}: could not finish within {seconds:.0f} s; run it again, it goes on where it stopped")
    os._exit(ExitCode.TIMEOUT)


def say(line: str) -> None:
    """Print a line at once: the log is read while the verb works."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def take_lock(lent: Any, name: str) -> None:
    """Wait for our turn; the lock goes with the session, so a killed migration never holds it."""
    said = False
    while not await lent.fetchval("SELECT pg_try_advisory_lock(hashtext('prefect-fly'), hashtext($1))", name):
        if not said:
            say("another migration is running; waiting for it")
            said = True
        await asyncio.sleep(LOCK_PAUSE_SECONDS)
