"""The question of observing.py, asked through Prefect's own pool. Importing this imports Prefect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg  # type: ignore[import-not-found,import-untyped,unused-ignore]
import sqlalchemy as sa  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database import provide_database_interface  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database.configurations import ENGINES  # type: ignore[import-not-found,unused-ignore]

from prefect_server.observing import QUESTION, CouldNotAskError, Pool


async def ask() -> Mapping[str, Any]:
    """Ask the database once.

    Raises:
        CouldNotAskError: it did not answer.
    """
    engine = await provide_database_interface().database_config.engine()
    try:
        async with engine.connect() as connection:
            row = (await connection.execute(sa.text(QUESTION))).mappings().one()
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise CouldNotAskError(type(error).__name__) from error
    return dict(row)


def pool() -> Pool | None:
    """Add up the pools of this process; None before the first connection. Prefect makes one for each event loop."""
    pools = [engine.pool for engine in ENGINES.values()]
    if not pools:
        return None
    return Pool(
        used=sum(each.checkedout() for each in pools),
        idle=sum(each.checkedin() for each in pools),
        limit=sum(each.size() + each._max_overflow for each in pools),  # noqa: SLF001 - there is no public name
    )
