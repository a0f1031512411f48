"""A lease is asked for on a connection whose end the driver has not seen yet. Prints one JSON line: was it renewed."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
import os
from datetime import timedelta
from uuid import UUID

import asyncpg
from prefect_server import launch
from prefect_server.settings import read

settings = read(os.environ, needs_keys=False)
launch.prepare(settings, "serve")

from prefect_server.prefect_leases import LINE, ConcurrencyLeaseStorage  # noqa: E402 - Prefect reads its settings now


class Ending:
    """What asyncpg is between the database's word that a session ends and its end."""

    async def fetch(self, *_):
        """Fail as it does."""
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")


async def main() -> None:
    lease = await ConcurrencyLeaseStorage().create_lease([UUID(int=9)], timedelta(hours=1))
    LINE._lent = Ending()
    print(json.dumps({"renewed": await ConcurrencyLeaseStorage().renew_lease(lease.id, timedelta(hours=1))}))
    await LINE.close()


LINE.settings = settings
asyncio.run(main())
