"""The process that is the sandbox: it holds the lock, and lives until it is told to end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from pathlib import Path

from sandbox.core.ports import PortsError
from sandbox.core.store import write_private_json
from sandbox.daemon import DaemonError
from sandbox.names import DriverName
from sandbox.postgres import PostgresError
from sandbox.world import Options, World, WorldError


def run(home: Path, driver: DriverName) -> None:
    """Be the sandbox until SIGTERM or SIGINT.

    Raises:
        DaemonError: another one runs on this home, or it could not be started.
    """
    home.mkdir(parents=True, exist_ok=True)
    _hold_pid_file(home)
    try:
        asyncio.run(_live(Options(home=home, driver=driver)))
    except (WorldError, PostgresError, PortsError) as error:
        raise DaemonError(str(error)) from error


async def _live(options: Options) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    world = World(options)
    try:
        await world.start()
        write_private_json(options.home / "env.json", world.env())
        print(f"sandbox: ready, pid {os.getpid()}", flush=True)
        await ended.wait()
    finally:
        (options.home / "env.json").unlink(missing_ok=True)
        await world.stop()
        print("sandbox: stopped", flush=True)


def _hold_pid_file(home: Path) -> None:
    """Lock the file until this process ends: it is never closed, for whoever waits for the lock waits for the end."""
    file = os.open(home / "sandbox.pid", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(file)
        raise DaemonError(f"could not start the sandbox: one runs on {home} already.") from error
    os.ftruncate(file, 0)
    os.write(file, str(os.getpid()).encode())
