"""Prefect's own migrations and block types. Importing this imports Prefect, so its settings must be in place."""

from __future__ import annotations

from prefect.server.database import provide_database_interface  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database.alembic_commands import alembic_upgrade  # type: ignore[import-not-found,unused-ignore]
from prefect.server.models.block_registration import (  # type: ignore[import-not-found,unused-ignore]
    run_block_auto_registration,
)
from prefect.utilities.asyncutils import run_sync_in_worker_thread  # type: ignore[import-not-found,unused-ignore]


async def upgrade() -> None:
    """Run all migrations that are missing."""
    # Not asyncio's threads: the migrations call back into the event loop by way of anyio's.
    await run_sync_in_worker_thread(alembic_upgrade)


async def register_blocks() -> None:
    """Write the block types that come with Prefect into the database."""
    session = await provide_database_interface().session()
    async with session:
        await run_block_auto_registration(session=session)
