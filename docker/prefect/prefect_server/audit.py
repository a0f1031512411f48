"""Who did what: a line in the log for each change, and, where asked, a row in a table of ours.

A change is what routes.py calls run or change, done or refused; reading is none, and neither is what running flows and
workers report. A line names the route and the ids in its path; bodies, queries and headers never get here. A request
waits for none of this: rows are written in batches by a task of their own, and what the database does not take in time
stays in the log and is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import parse_qs

logger = logging.getLogger("prefect_fly.audit")

# A line may wait this long for its row.
FLUSH_SECONDS = 1.0
TIDY_SECONDS = 3600.0
PATIENCE_SECONDS = 10.0
GOODBYE_SECONDS = 5.0
MOST_WAITING = 5000
BATCH = 500
MOST_ASKED = 1000
DAY_SECONDS = 86400.0
_LONGEST = 200


class StoreError(Exception):
    """The database did not take or give rows; the text names the kind of error and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One change.

    Attributes:
        at: unix seconds.
        login: name of the key, with its generation.
        rights: of the key.
        route: path with its parameters' names.
        object: what stood in their place.
        status: HTTP; 403 was refused for the rights, 0 had no answer.
        client: address, as Fly's proxy saw it.
    """

    at: float
    login: str
    rights: str
    method: str
    route: str
    object: str
    status: int
    client: str

    def as_log(self) -> str:
        """Return the line as it stands in the log."""
        return json.dumps(
            {"time": rfc3339(self.at), **{key: each for key, each in asdict(self).items() if key != "at"}}
        )


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which rows: those of `logins` (empty: all) and not of `without`, whatever their generation, newest first."""

    logins: Sequence[str] = ()
    without: Sequence[str] = ()
    since: float = 0.0
    before: int | None = None
    limit: int = 100


class Store(Protocol):
    """Where rows are kept, at times by its own clock. Everything raises StoreError."""

    async def write(self, lines: Sequence[tuple[Line, float]]) -> None:
        """Keep the lines, all or none; each comes with its age in seconds."""

    async def read(self, question: Question) -> list[tuple[int, Line]]:
        """Return rows with their ids."""

    async def forget(self, seconds: float) -> None:
        """Remove what is older than that."""


def rfc3339(at: float) -> str:
    """Write unix seconds as a time in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Audit:
    """Takes a line for each change.

    Args:
        store: keeps them; None for the log alone.
        keep_days: how long they are kept.
        clock: unix seconds, for the log: in the table a clock that jumps must not make a line old.
        steady: seconds that never go back.
    """

    def __init__(
        self,
        store: Store | None = None,
        keep_days: int = 0,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self.keep_days, self._clock, self._steady = store, keep_days, clock, steady
        self._waiting: deque[tuple[Line, float]] = deque()
        self._flushing = asyncio.Lock()
        self._failing = False
        self._tidy_at = float("-inf")
        self.not_kept = 0

    def note(
        self, *, login: str, rights: str, method: str, route: str, values: Mapping[str, str], status: int, client: str
    ) -> None:
        """Log one change, and put it into the queue for the table."""
        what = " ".join(value[:_LONGEST] for value in values.values())
        line = Line(
            at=self._clock(),
            login=login,
            rights=rights,
            method=method,
            route=route,
            object=what,
            status=status,
            client=client,
        )
        logger.info("%s", line.as_log())
        if self._store is None:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._waiting.popleft()
            self.not_kept += 1
        self._waiting.append((line, self._steady()))

    async def flush(self) -> bool:
        """Write what waits; tell whether the database took it all."""
        async with self._flushing:
            while self._store and self._waiting:
                batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
                now = self._steady()
                if not await self._attempt(self._store.write([(line, now - noted) for line, noted in batch]), "write"):
                    return False
                # While it was written the queue may have been full and have lost its oldest.
                for each in batch:
                    if self._waiting and self._waiting[0] is each:
                        self._waiting.popleft()
        return True

    async def _attempt(self, work: Any, what: str) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await work
        except (StoreError, TimeoutError) as error:
            if not self._failing:
                said = str(error) or f"no answer in {PATIENCE_SECONDS:.0f} seconds"
                logger.warning("could not %s audit lines in the database, they are in the log: %s", what, said)
            self._failing = True
            return False
        self._failing = False
        return True

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        """Write lines while the block runs, and what is left at its end."""
        if self._store is None:
            yield
            return
        task = asyncio.create_task(self._keep(self._store))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await self.flush()
            self.not_kept += len(self._waiting)
            if self._waiting:
                logger.warning("%d audit lines are only in the log", len(self._waiting))

    async def _keep(self, store: Store) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()
            if self._steady() >= self._tidy_at:
                await self._attempt(store.forget(self.keep_days * DAY_SECONDS), "tidy")
                self._tidy_at = self._steady() + TIDY_SECONDS

    async def answer(self, query: bytes) -> tuple[int, object]:
        """Answer GET /gate/audit: status and body."""
        if self._store is None:
            return 404, _sentence(
                "This server keeps no audit lines but in its log: set prefect-fly:audit.keepDays and run pulumi up."
            )
        try:
            question = read_question(query)
        except ValueError as error:
            return 400, _sentence(str(error))
        await self.flush()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                rows = await self._store.read(question)
        except (StoreError, TimeoutError):
            return 503, _sentence("The database did not answer; the log has the audit lines.")
        return 200, {
            "lines": [{"id": number, **asdict(line), "at": rfc3339(line.at)} for number, line in rows],
            "next": rows[-1][0] if len(rows) == question.limit else None,
            "keep_days": self.keep_days,
            "not_kept": self.not_kept,
        }


def read_question(query: bytes) -> Question:
    """Read login, without (both may stand several times), since (RFC 3339), before (an id) and limit.

    Raises:
        ValueError: one of them cannot be used, or is not known.
    """
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if unknown := sorted(given.keys() - {"login", "without", "since", "before", "limit"}):
        raise ValueError(f'"{unknown[0][:40]}" is not known here: login, without, since, before and limit are.')
    since, before, limit = (given.get(name, [""])[-1] for name in ("since", "before", "limit"))
    numbers = {"before": before, "limit": limit}
    for name, text in numbers.items():
        if text and not (text.isascii() and text.isdigit() and int(text[:19]) > 0 and len(text) < 19):
            raise ValueError(f'"{name}" must be a whole number above 0.')
    return Question(
        logins=given.get("login", ()),
        without=given.get("without", ()),
        since=_moment(since) if since else 0.0,
        before=int(before) if before else None,
        limit=min(int(limit or 100), MOST_ASKED),
    )


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError('"since" must be a time with its zone, such as 2027-01-31T00:00:00Z.')
    return moment.timestamp()


def _sentence(text: str) -> dict[str, str]:
    return {"exception_message": text, "detail": text}
