"""Put a backup's rows in the place of those that the database has; what `restore NAME FILE` does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from clients.fly import FlyClient
from ops.backup_file import read_whole
from ops.database_access import database_of
from ops.relay_machine import reaching
from ops.runtime import Runtime
from ops.server_machines import server_machines, start, stopped
from ops.status_stack import StatedStack


def restore_file(stack: StatedStack, path: Path, rt: Runtime, *, reach: str, replace: bool) -> dict[str, object]:
    """Bring it back; file and database are held against one another before the server stops.

    Raises:
        OpsError: the file or the database cannot be used; nothing was changed.
        FlyError: the server could not be stopped or started.
    """
    from ops import backup_database  # noqa: PLC0415 - the rollback's verbs must not need a database driver

    manifest, app = read_whole(path, rt.progress.say), stack.server_app
    with reaching(reach, app, database_of(stack.name, rt), rt) as access:
        asyncio.run(backup_database.require_fitting(access, manifest, replace=replace))
        fly = FlyClient.from_environment(rt.world, rt.environ, progress=rt.progress.say)
        machines = server_machines(fly, app)
        with stopped(fly, app, machines, rt):
            asyncio.run(backup_database.load(access, path, manifest, rt.progress.say, replace=replace))
    start(fly, app, machines)
    rt.progress.say(f"the server runs with the {manifest.rows} rows of {manifest.made_at}")
    return {"restored": str(path), "revision": manifest.revision, "rows": manifest.rows, "made_at": manifest.made_at}
