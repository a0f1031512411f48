"""Assets that somebody removes by hand: what is theirs goes too, although no row is checked when it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg  # type: ignore[import-untyped]
import pytest

pytestmark = pytest.mark.prefect

# a → b → c, as flows write them: the ids are 1, 2 and 3.
GRAPH = """
INSERT INTO prefect_fly.asset (key, first_at) VALUES ('s3://a', now()), ('s3://b', now()), ('s3://c', now());
INSERT INTO prefect_fly.asset_edge (upstream, downstream, last_at) VALUES (1, 2, now()), (2, 3, now());
"""
RUN = """
INSERT INTO prefect_fly.asset_run (event_id, asset, occurred, succeeded, upstream)
SELECT gen_random_uuid(), asset, now(), true, '{}' FROM unnest($1::bigint[]) AS asset
"""
ROWS = """
SELECT (SELECT array_agg(id ORDER BY id) FROM prefect_fly.asset),
    (SELECT array_agg(asset ORDER BY asset) FROM prefect_fly.asset_run),
    (SELECT array_agg(ARRAY[upstream, downstream]) FROM prefect_fly.asset_edge)
"""
REMOVE = "DELETE FROM prefect_fly.asset WHERE key LIKE 's3://a%'"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'prefect_fly.asset_run'::regclass"


def test_an_asset_goes_with_all_that_is_its(migrated_database: Callable[[], str]) -> None:
    """Its runs and the edges on both sides are removed with it, those of other assets stay."""

    async def what() -> None:
        connection = await asyncpg.connect(migrated_database())
        try:
            await connection.execute(GRAPH)
            await connection.execute(RUN, [1, 2, 2, 3])
            await connection.execute("DELETE FROM prefect_fly.asset WHERE key = 's3://c'")
            assert tuple(await connection.fetchrow(ROWS)) == ([1, 2], [1, 2, 2], [[1, 2]])
            await connection.execute(REMOVE)
            assert tuple(await connection.fetchrow(ROWS)) == ([2], [2, 2], None)
        finally:
            await connection.close()

    asyncio.run(what())


def test_who_removes_waits_for_who_fills(migrated_database: Callable[[], str]) -> None:
    """A run that is being written while its asset is removed is removed as well, and none is left without an asset."""

    async def what() -> None:
        url = migrated_database()
        filling, removing, looking = [await asyncpg.connect(url) for _ in range(3)]
        try:
            await filling.execute(GRAPH)
            transaction = filling.transaction()
            await transaction.start()
            await filling.execute(RUN, [1, 2])
            removal = asyncio.create_task(removing.execute(REMOVE))
            while not await looking.fetchval(WAITING):
                assert not removal.done()
                await asyncio.sleep(0.05)
            await transaction.commit()
            assert await removal == "DELETE 1"
            assert tuple(await looking.fetchrow(ROWS)) == ([2, 3], [2], [[2, 3]])
        finally:
            for each in (filling, removing, looking):
                await each.close()

    asyncio.run(what())
