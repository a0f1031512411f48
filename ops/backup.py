"""backup: write everything that the server knows into a file on this machine.

All of Prefect's tables as of one moment, from the database itself; the server goes on. Nothing is left of a backup that
did not end well.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from pathlib import Path

from clients.endpoints import World
from ops.backup_file import megabytes, read_whole, writing
from ops.database_access import database_of
from ops.errors import OpsError
from ops.reaching import add_reach
from ops.relay_machine import IN_ITS_NETWORK, reaching
from ops.runtime import Runtime
from ops.status_stack import StatedStack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags. The stack states its world, so there is no --endpoints."""
    parser.set_defaults(endpoints=World.REAL.value)
    parser.add_argument("stack", metavar="NAME", help="the stack's name")
    parser.add_argument("file", metavar="FILE", type=Path, help="where to; must not be there yet")
    add_reach(parser, IN_ITS_NETWORK)


def run(args: argparse.Namespace, rt: Runtime) -> dict[str, object]:
    """Write it, and read it again.

    Raises:
        OpsError: the database or the file failed; there is no file then.
    """
    from ops import backup_database  # noqa: PLC0415 - the rollback's verbs must not need a database driver

    stack = StatedStack.named(args.stack)
    rt = replace(rt, world=stack.world)
    access = database_of(stack.name, rt)
    rt.progress.say(f'saving schema "{access.schema}" of {access.place}')
    with writing(args.file) as writer, reaching(args.reach, stack.server_app, access, rt) as reached:
        asyncio.run(backup_database.save(reached, writer, rt.progress.say))
    try:
        manifest = read_whole(args.file, rt.progress.say)
    except OpsError:
        args.file.unlink(missing_ok=True)
        raise
    size = args.file.stat().st_size
    rt.progress.say(f"{args.file} has {megabytes(size)}; it holds the secrets of blocks, so keep it as you keep those")
    return {"file": str(args.file), "revision": manifest.revision, "rows": manifest.rows, "bytes": size}
