"""What Prefect does by the server's clock, kept from harm where that clock is wrong. Importing this imports Prefect.

A clock that is days ahead makes everything old: runs and events would be removed for good, and paused runs failed. And
what happens every few seconds is due again days later, once the clock is right: until then nothing would be scheduled.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from docket import Docket, Perpetual, Worker  # type: ignore[import-not-found,unused-ignore]
from docket.dependencies import (  # type: ignore[import-not-found,unused-ignore]
    get_single_dependency_parameter_of_type,
)
from prefect.server.api import background_workers  # type: ignore[import-not-found,unused-ignore]
from prefect.server.services import db_vacuum, pause_expirations  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import SelfCheckError
from prefect_server.observing import CouldNotAskError
from prefect_server.prefect_lineage import borrow

logger = logging.getLogger("prefect_fly")

MOST_APART = timedelta(hours=1)
"""Clocks that differ by less are no reason to keep what is kept for days."""

SLACK = timedelta(minutes=1)
"""What is due later than it can have been asked for, by so much, was put off by another time."""

# By the modules that ask for them.
_BY_AGE = (
    (db_vacuum, "vacuum_old_flow_runs"),
    (db_vacuum, "vacuum_old_events"),
    (db_vacuum, "vacuum_events_with_retention_overrides"),
    (pause_expirations, "fail_expired_pause"),
)
_SOW = "_schedule_all_automatic_perpetual_tasks"


def guard() -> None:
    """Put guards around what is done by age, and around what looks after the periodic services; before they start.

    Raises:
        SelfCheckError: Prefect or its queue no longer does it where it did.
    """
    for module, name in _BY_AGE:
        function = getattr(module, name, None)
        if function is None or function not in background_workers.task_functions:
            raise SelfCheckError(f"Prefect's {name} is not where it was")
        guarded = _while_clocks_agree(function)
        tasks = background_workers.task_functions
        tasks[tasks.index(function)] = guarded
        setattr(module, name, guarded)
    sow = getattr(Worker, _SOW, None)
    if sow is None:
        raise SelfCheckError("what looks after Prefect's periodic services is not where it was")
    setattr(Worker, _SOW, _after_bringing_forward(sow))


def here() -> datetime:
    """Return what this server takes for the time."""
    return datetime.now(UTC)


def _while_clocks_agree(function: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Return the task, which leaves its work to the next time while the database's clock says something else."""

    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            async with borrow() as connection:
                apart = here() - await connection.fetchval("SELECT clock_timestamp()")
        except CouldNotAskError as error:
            logger.warning("%s was left out: the database did not say what time it is (%s)", function.__name__, error)
            return
        if abs(apart) > MOST_APART:
            logger.warning(
                "%s was left out: this server's clock is %.1f hours off the database's",
                function.__name__,
                apart.total_seconds() / 3600,
            )
            return
        await function(*args, **kwargs)

    return guarded


def _after_bringing_forward(sow: Callable[[Worker], Awaitable[None]]) -> Callable[[Worker], Awaitable[None]]:
    """Return what a worker does once a minute for the periodic services, with the look at when they are due."""

    @functools.wraps(sow)
    async def looking(worker: Worker) -> None:
        await bring_forward(worker.docket)
        await sow(worker)

    return looking


async def bring_forward(docket: Docket) -> None:
    """Let those periodic services run now that are due later than they ever are: the clock went back."""
    now = here()
    for function in list(docket.tasks.values()):
        every = get_single_dependency_parameter_of_type(function, Perpetual)
        if every is None or not every.automatic:
            continue
        name = function.__name__
        async with docket.redis() as redis:
            due = await redis.zscore(docket.queue_key, name)
        if due is not None and due > (now + every.every + SLACK).timestamp():
            logger.warning("%s was due only in %.1f hours, and runs now", name, (due - now.timestamp()) / 3600)
            await docket.replace(function, when=now, key=name)()
