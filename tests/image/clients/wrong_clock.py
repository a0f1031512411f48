"""What a server's process does to what is kept, with a clock that is some days off. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID

from prefect_server import launch
from prefect_server.settings import read

OFF = timedelta(days=float(sys.argv[1]))
QUEUE = os.environ.get("QUEUE_URL", "memory://clock")
LIVE, OVER = UUID(int=1), UUID(int=2)

settings = read(os.environ, needs_keys=False)
launch.prepare(settings, "serve")

from docket import Docket, Perpetual, Worker  # noqa: E402 - Prefect reads its settings when it is imported
from prefect.server.database import provide_database_interface  # noqa: E402
from prefect.server.services import db_vacuum, repossessor  # noqa: E402
from prefect_server import prefect_clock, prefect_leases  # noqa: E402

real_now = db_vacuum.now


class Off(datetime):
    """The time as this process has it."""

    @classmethod
    def now(cls, tz=None):
        """Return it."""
        return datetime.now(tz) + OFF


async def often(
    perpetual: Perpetual = Perpetual(automatic=True, every=timedelta(seconds=30)),  # noqa: B008 - as Prefect's are
) -> None:
    """Do what is done every half minute."""


async def seldom(
    perpetual: Perpetual = Perpetual(automatic=True, every=timedelta(days=60)),  # noqa: B008
) -> None:
    """Do what is done every two months."""


async def due_days() -> dict[str, int]:
    """In how many days each is due, after a worker's look: both were put off by a clock 40 days ahead."""
    async with Docket(name="clock", url=QUEUE) as docket, Worker(docket) as worker:
        for function in (often, seldom):
            docket.register(function)
            await docket.add(function, when=datetime.now(UTC) + timedelta(days=40), key=function.__name__)()
        await worker._schedule_all_automatic_perpetual_tasks()
        found = [await docket.get_execution(name) for name in ("often", "seldom")]
        return {each.key: round((each.when - datetime.now(UTC)) / timedelta(days=1)) for each in found}


async def main() -> None:
    due = await due_days()
    for module in (prefect_clock, prefect_leases, repossessor):
        module.datetime = Off
    db_vacuum.now = lambda zone: real_now(zone) + OFF
    database = provide_database_interface()
    for name in ("vacuum_old_flow_runs", "vacuum_old_events", "vacuum_events_with_retention_overrides"):
        await getattr(db_vacuum, name)(db=database)
    storage = prefect_leases.ConcurrencyLeaseStorage()
    expired = await storage.read_expired_lease_ids()
    active = await storage.read_active_lease_ids()
    for lease in expired:
        await repossessor.revoke_expired_lease(lease, db=database, lease_storage=storage)
    taken = await storage.create_lease([UUID(int=9)], timedelta(hours=1))
    await storage.renew_lease(LIVE, timedelta(hours=1))
    held = await storage.read_active_lease_ids()
    await prefect_leases.LINE.close()
    print(
        json.dumps(
            {
                "due": due,
                "expired": [each.int for each in expired],
                "active": [each.int for each in active],
                "held": sorted(each.int for each in held if each != taken.id),
                "new": taken.id in held,
            }
        )
    )


prefect_leases.LINE.settings = settings
prefect_clock.guard()
asyncio.run(main())
