"""Lends connections of Prefect's own pool to the lineage and the leases. Importing this imports Prefect."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-not-found,import-untyped,unused-ignore]
import sqlalchemy as sa  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database import provide_database_interface  # type: ignore[import-not-found,unused-ignore]

from prefect_server.observing import CouldNotAskError


@asynccontextmanager
async def borrow() -> AsyncIterator[Any]:
    """Lend asyncpg's own connection, which takes arrays and pages as they are.

    Raises:
        CouldNotAskError: the database did not answer, or did not do what was asked; the text holds no value.
    """
    engine = await provide_database_interface().database_config.engine()
    try:
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            yield raw.driver_connection
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CouldNotAskError(type(error).__name__) from error
