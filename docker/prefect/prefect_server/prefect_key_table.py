"""The table of keys, through Prefect's own pool: following the keys costs no database connection of its own.

Importing this imports Prefect.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-not-found,import-untyped,unused-ignore]
import sqlalchemy as sa  # type: ignore[import-not-found,unused-ignore]
from prefect.server.database import provide_database_interface  # type: ignore[import-not-found,unused-ignore]

from prefect_server.key_follower import KeyTableError
from prefect_server.own_tables import in_own_schema
from prefect_server.signed_ring import SignedRing

_READ = "SELECT generation, ring, mac FROM {own}.api_keys WHERE signer = :signer"
# Machines write at the same time, so the comparison is the database's.
_WRITE = """
INSERT INTO {own}.api_keys AS known (signer, generation, ring, mac) VALUES (:signer, :generation, :ring, :mac)
ON CONFLICT (signer) DO UPDATE
SET generation = excluded.generation, ring = excluded.ring, mac = excluded.mac, written_at = now()
WHERE known.generation < excluded.generation
    OR (known.generation = :old_generation AND known.ring = :old_ring AND known.mac = :old_mac)
"""


class PrefectKeyTable:
    """The row of one stack in the schema beside Prefect's.

    Args:
        schema: Prefect's.
        signer: id of the stack's signing secret.
    """

    def __init__(self, schema: str, signer: str) -> None:
        self._signer = signer
        self._read_sql = sa.text(in_own_schema(_READ, schema))
        self._write_sql = sa.text(in_own_schema(_WRITE, schema))

    async def read(self) -> SignedRing | None:
        """Return the row as it stands.

        Raises:
            KeyTableError: the database does not answer.
        """
        async with _connection() as connection:
            row = (await connection.execute(self._read_sql, {"signer": self._signer})).mappings().one_or_none()
        return SignedRing(**row) if row else None

    async def write(self, newest: SignedRing, instead_of: SignedRing | None) -> None:
        """Write the row if what stands there is older, or is `instead_of`.

        Raises:
            KeyTableError: the database does not answer.
        """
        old = instead_of or SignedRing(generation=-1, ring="", mac="")
        values = {"signer": self._signer, "generation": newest.generation, "ring": newest.ring, "mac": newest.mac}
        values |= {"old_generation": old.generation, "old_ring": old.ring, "old_mac": old.mac}
        async with _connection() as connection:
            await connection.execute(self._write_sql, values)


@asynccontextmanager
async def _connection() -> AsyncIterator[Any]:
    engine = await provide_database_interface().database_config.engine()
    try:
        async with engine.begin() as connection:
            yield connection
    except (sa.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise KeyTableError(type(error).__name__) from error
