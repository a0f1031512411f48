"""What the database and the process look like, for the metrics and for GET /gate/status.

The database is asked at most once a minute however often anybody looks, and never twice at the same time. Every label
has a fixed list of values: names that people give, such as those of states and flows, never become one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

logger = logging.getLogger("prefect_fly")

FRESH_SECONDS = 60.0
PATIENCE_SECONDS = 10.0
OPEN_STATES = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")
ENDED_STATES = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

# One row. A run is late from 15 seconds on, as Prefect's own service for late runs has it.
QUESTION = """
SELECT
    pg_database_size(current_database()) AS size_bytes,
    (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()) AS connections,
    current_setting('max_connections')::int AS connections_limit,
    (SELECT coalesce(jsonb_object_agg(state, number), '{}') FROM (
        SELECT state_type::text AS state, count(*) AS number FROM flow_run
        WHERE state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING') GROUP BY 1) AS open) AS open,
    (SELECT coalesce(jsonb_object_agg(state, number), '{}') FROM (
        SELECT state_type::text AS state, count(*) AS number FROM flow_run
        WHERE end_time >= now() - interval '1 hour' GROUP BY 1) AS ended) AS ended,
    late.number AS late,
    late.seconds AS lateness_seconds
FROM (
    SELECT count(*) AS number,
        coalesce(extract(epoch FROM now() - min(next_scheduled_start_time)), 0)::float AS seconds
    FROM flow_run
    WHERE state_type = 'SCHEDULED' AND next_scheduled_start_time < now() - interval '15 seconds'
) AS late
"""


class CouldNotAskError(Exception):
    """The database did not answer; the text names the kind of error and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Database:
    """The database at one moment.

    Attributes:
        open: flow runs that have not ended, by state type.
        ended: flow runs that ended in the last hour, by state type.
        late: flow runs that should have begun; `lateness_seconds` is how late the latest is.
        asked_at: unix seconds.
    """

    size_bytes: int
    connections: int
    connections_limit: int
    open: Mapping[str, int]
    ended: Mapping[str, int]
    late: int
    lateness_seconds: float
    asked_at: float

    @classmethod
    def of(cls, row: Mapping[str, Any], asked_at: float) -> Database:
        """Read the one row; a state that this version does not know is left out."""
        counts = {
            name: {state: int(row[name].get(state, 0)) for state in states}
            for name, states in (("open", OPEN_STATES), ("ended", ENDED_STATES))
        }
        return cls(
            size_bytes=int(row["size_bytes"]),
            connections=int(row["connections"]),
            connections_limit=int(row["connections_limit"]),
            late=int(row["late"]),
            lateness_seconds=float(row["lateness_seconds"]),
            asked_at=asked_at,
            **counts,
        )


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Connections that this process holds to the database, and the most it takes."""

    used: int
    idle: int
    limit: int


class Observer:
    """Looks at the database and at the pool.

    Args:
        ask: returns the row of QUESTION.
        pool: returns the pool, None before there is one.
        version: Prefect's.
        clock: unix seconds.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Mapping[str, Any]]],
        pool: Callable[[], Pool | None],
        *,
        version: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ask, self._clock = ask, clock
        self.pool, self.version = pool, version
        self.database: Database | None = None
        self._next_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def look(self) -> Database | None:
        """Return the database as it was a minute ago at most; None when it did not answer then."""
        if self._asking is None and self._clock() >= self._next_at:
            self._asking = asyncio.create_task(self._look())
        if self._asking is not None:
            # Shielded: one client that hangs up must not take the answer away from the others.
            await asyncio.shield(self._asking)
        return self.database

    async def report(self) -> dict[str, object]:
        """The body of GET /gate/status."""
        database, pool = await self.look(), self.pool()
        return {
            "prefect": self.version,
            "database": asdict(database) if database else None,
            "pool": asdict(pool) if pool else None,
        }

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                row = await self._ask()
            self.database = Database.of(row, self._clock())
        except (CouldNotAskError, TimeoutError) as error:
            self.database = None
            said = str(error) or f"no answer in {PATIENCE_SECONDS:.0f} seconds"
            logger.warning("could not observe the database: %s", said)
        finally:
            self._next_at, self._asking = self._clock() + FRESH_SECONDS, None


@dataclass
class Timings:
    """How long accepted HTTP requests took, and what kind of answer they got."""

    LIMITS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

    in_bucket: list[int] = field(default_factory=lambda: [0] * (len(Timings.LIMITS) + 1))
    seconds: float = 0.0
    by_class: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("2xx", "3xx", "4xx", "5xx"), 0))

    def note(self, seconds: float, status: int) -> None:
        """Count one answer; a request that was given up has status 0 and counts as 5xx."""
        self.in_bucket[bisect_left(self.LIMITS, seconds)] += 1
        self.seconds += seconds
        kind = f"{status // 100}xx"
        self.by_class[kind if kind in self.by_class else "5xx"] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """Return the cumulative counts by upper limit, as a histogram wants them."""
        names = [*map(str, self.LIMITS), "+Inf"]
        return [(name, float(sum(self.in_bucket[: index + 1]))) for index, name in enumerate(names)]
