"""Prefect's leases of concurrency slots, kept in a table of ours. Importing this imports Prefect.

A run that holds a slot of a limit holds it by a lease, which it renews. Prefect alone keeps leases in the server's
memory: with the server they are gone, whether it was updated or crashed. A run that cannot renew is ended, and its slot
is nobody's and never free again.

The statements have a connection of their own: Prefect asks for leases in the middle of requests that hold one of the
pool's already, and if all of them waited for a second one, nobody would get it. Only the look for expired ones, which
is made all the time and by nobody else, goes through the pool: otherwise that connection would never be idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg  # type: ignore[import-not-found,import-untyped,unused-ignore]
from prefect.server.concurrency.lease_storage import (  # type: ignore[import-not-found,unused-ignore]
    ConcurrencyLeaseHolder,
    ConcurrencyLimitLeaseMetadata,
)
from prefect.server.concurrency.lease_storage import (
    ConcurrencyLeaseStorage as PrefectLeaseStorage,
)
from prefect.server.utilities.leasing import ResourceLease  # type: ignore[import-not-found,unused-ignore]

from prefect_server.database import connection
from prefect_server.exit_codes import VerbError
from prefect_server.own_tables import in_own_schema
from prefect_server.prefect_lineage import borrow
from prefect_server.settings import ServerSettings

IDLE_SECONDS = 30.0
"""An idle connection is given back: it stands beside the pool, and limits may not be used at all."""

ANSWER_SECONDS, CLOSE_SECONDS = 15.0, 5.0
"""A database that went away without a word must not stop everybody behind the one who asks it."""

_BROKEN = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the database has said that it ends the session, and not ended it yet
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)
# Time is the database's: a server's clock that jumps must not end a lease.
_CREATE = """
INSERT INTO {own}.lease (id, resources, created_at, expires_at, slots, holder_type, holder)
VALUES ($1, $2, clock_timestamp(), clock_timestamp() + $3::interval, $4, $5, $6) ON CONFLICT (id) DO NOTHING
"""
_READ = """
SELECT resources, slots, holder_type, holder, expires_at - clock_timestamp() AS left_over,
    clock_timestamp() - created_at AS age
FROM {own}.lease WHERE id = $1
"""
_RENEW = "UPDATE {own}.lease SET expires_at = clock_timestamp() + $2::interval WHERE id = $1 RETURNING id"
_REVOKE = "DELETE FROM {own}.lease WHERE id = $1"
_ACTIVE = "SELECT id FROM {own}.lease WHERE expires_at > clock_timestamp() ORDER BY expires_at, id LIMIT $1 OFFSET $2"
_EXPIRED = "SELECT id FROM {own}.lease WHERE expires_at < clock_timestamp() ORDER BY expires_at LIMIT $1"
_HOLDERS = """
SELECT id, holder_type, holder FROM {own}.lease
WHERE $1 = ANY (resources) AND expires_at > clock_timestamp() AND holder IS NOT NULL ORDER BY created_at
"""


class _Line:
    """The connection: opened when it is needed, used by one statement at a time, closed when it is idle.

    Attributes:
        settings: which database it leads to; set before the server serves.
    """

    settings: ServerSettings

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._open = AsyncExitStack()
        self._lent: Any = None
        self._closing: asyncio.TimerHandle | None = None

    def named(self, sql: str) -> str:
        """Put the name of our schema into a statement."""
        return in_own_schema(sql, self.settings.schema)

    async def ask(self, sql: str, *values: Any) -> Sequence[Any]:
        """Run one statement that may be repeated, and return its rows.

        Raises:
            OSError, asyncpg.PostgresError, asyncpg.InterfaceError: the database did not answer it.
        """
        statement = self.named(sql)
        async with self._lock:
            if self._closing:
                self._closing.cancel()
            try:
                if self._lent is not None:
                    try:
                        return await self._fetch(statement, values)
                    except _BROKEN:  # it was closed while it was idle, or the database was started again
                        await self._close()
                self._lent = await self._open.enter_async_context(connection(self.settings))
                return await self._fetch(statement, values)
            except VerbError as error:
                # Prefect judges by the cause whether it passes (prefect_outage.py).
                raise (error.__cause__ or error) from None
            finally:
                self._closing = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._close_idle)

    async def _fetch(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        async with asyncio.timeout(ANSWER_SECONDS):
            rows: Sequence[Any] = await self._lent.fetch(statement, *values)
        return rows

    async def close(self) -> None:
        """Give the connection back; the next statement opens another."""
        async with self._lock:
            if self._closing:
                self._closing.cancel()
            await self._close()

    def _close_idle(self) -> None:
        self._ending = asyncio.ensure_future(self.close())

    async def _close(self) -> None:
        self._lent, opened, self._open = None, self._open, AsyncExitStack()
        with suppress(*_BROKEN):  # the other side closed it already, or does not answer
            async with asyncio.timeout(CLOSE_SECONDS):
                await opened.aclose()


LINE = _Line()


class ConcurrencyLeaseStorage(PrefectLeaseStorage):  # type: ignore[misc,unused-ignore]
    """What Prefect makes for each use; the name is Prefect's."""

    async def create_lease(
        self, resource_ids: list[UUID], ttl: timedelta, metadata: ConcurrencyLimitLeaseMetadata | None = None
    ) -> ResourceLease[ConcurrencyLimitLeaseMetadata]:
        """Keep a new lease of slots of these limits."""
        lease = ResourceLease(resource_ids=resource_ids, metadata=metadata, expiration=datetime.now(UTC) + ttl)
        holder = metadata.holder if metadata else None
        await LINE.ask(
            _CREATE,
            lease.id,
            resource_ids,
            ttl,
            metadata.slots if metadata else None,
            holder.type if holder else None,
            holder.id if holder else None,
        )
        return lease

    async def read_lease(self, lease_id: UUID) -> ResourceLease[ConcurrencyLimitLeaseMetadata] | None:
        """Return a lease, expired or not; None when there is none."""
        rows = await LINE.ask(_READ, lease_id)
        return _lease(lease_id, rows[0]) if rows else None

    async def renew_lease(self, lease_id: UUID, ttl: timedelta) -> bool:
        """Let a lease last for so long from now on; False when there is none."""
        return bool(await LINE.ask(_RENEW, lease_id, ttl))

    async def revoke_lease(self, lease_id: UUID) -> None:
        """Remove a lease, if it is there."""
        await LINE.ask(_REVOKE, lease_id)

    async def read_active_lease_ids(self, limit: int = 100, offset: int = 0) -> list[UUID]:
        """Return leases that have not expired, those that will first first."""
        return [row["id"] for row in await LINE.ask(_ACTIVE, limit, offset)]

    async def read_expired_lease_ids(self, limit: int = 100) -> list[UUID]:
        """Return leases that have expired, oldest first."""
        async with borrow() as lent:
            return [row["id"] for row in await lent.fetch(LINE.named(_EXPIRED), limit)]

    async def list_holders_for_limit(self, limit_id: UUID) -> list[tuple[UUID, ConcurrencyLeaseHolder]]:
        """Return who holds slots of a limit, with their leases, oldest first."""
        rows = await LINE.ask(_HOLDERS, limit_id)
        return [(row["id"], _holder(row)) for row in rows]


def _lease(lease_id: UUID, row: Any) -> ResourceLease[ConcurrencyLimitLeaseMetadata]:
    metadata = None
    if row["slots"] is not None:
        holder = _holder(row) if row["holder"] else None
        metadata = ConcurrencyLimitLeaseMetadata(slots=row["slots"], holder=holder)
    now = datetime.now(UTC)  # which is what Prefect compares it with
    return ResourceLease(
        id=lease_id,
        resource_ids=list(row["resources"]),
        expiration=now + row["left_over"],
        created_at=now - row["age"],
        metadata=metadata,
    )


def _holder(row: Any) -> ConcurrencyLeaseHolder:
    return ConcurrencyLeaseHolder(type=row["holder_type"], id=row["holder"])
