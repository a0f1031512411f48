"""While database or Redis is away Prefect's answer is "maintenance" (503) instead of 500, which its clients wait out.

Prefect answers 503 where a connection broke in the middle, and 500 where none could be made: then the first request
of a flow's client ends the flow, which stays "running" for ever. Whoever could not connect changed nothing, so that
repeating is safe. The same goes for a request that waited in vain for one of this process's connections, which is what
many flow runs at once meet first; for a write that the database refuses because its disk is full; and for one whose
event Redis did not take, since a state is written together with its event or not at all. A 503 that says
`Prefect-Maintenance: true` is repeated by Prefect's clients until it ends, by those that do not know the header five
times.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asyncpg import exceptions as postgres  # type: ignore[import-untyped,import-not-found,unused-ignore]
from prefect.server.api import server  # type: ignore[import-not-found,unused-ignore]
from redis import exceptions as redis  # type: ignore[import-not-found,unused-ignore]
from sqlalchemy.exc import TimeoutError as NoFreeConnectionError  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import SelfCheckError

_JUDGE, _HANDLER = "is_client_retryable_exception", "custom_internal_exception_handler"
QUIET_SECONDS = 60.0
_LINE = "%s (%s): requests get 503 until that is over"
_HINT = "; docs/scale.md says what helps"
_HEADERS = {"Prefect-Maintenance": "true", "Retry-After": "5"}

# Shut down, starting up, too many connections, connection lost: Postgres' classes 57, 53 and 08.
_AWAY = (
    postgres.OperatorInterventionError,
    postgres.InsufficientResourcesError,
    postgres.PostgresConnectionError,
)
# A full disk and the like (class 53), and "read only", which is what Supabase makes of a database that is too large.
_TAKES_NO_WRITES = ("53", "25006")
REDIS_AWAY = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.OutOfMemoryError)
"""No answer, and what a Redis says that fails over or is full."""
# Errors of files are no reason to ask again.
_OF_FILES = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)


def answer_maintenance() -> None:
    """Let Prefect take the errors of connecting for passing ones; before its application is made.

    Raises:
        SelfCheckError: Prefect no longer has the functions that decide it.
    """
    judge: Callable[[Exception], bool] | None = getattr(server, _JUDGE, None)
    handler: Callable[[Any, Exception], Awaitable[Any]] | None = getattr(server, _HANDLER, None)
    if judge is None or handler is None:
        raise SelfCheckError("Prefect decides otherwise what is a passing error, so an outage would end running flows")

    async def handle(request: Any, error: Exception) -> Any:
        reply = await handler(request, error)
        if is_outage(error):
            reply.headers.update(_HEADERS)
        return reply

    def passes(error: Exception) -> bool:
        return judge(error) or is_outage(error)

    setattr(server, _JUDGE, passes)
    setattr(server, _HANDLER, handle)
    # Starlette raises again what was answered, and uvicorn writes a traceback of it: one for each request.
    logging.getLogger("uvicorn.error").addFilter(OutageFilter(passes))


class OutageFilter(logging.Filter):
    """Writes one line a minute of what is away, instead of a traceback for each request that was answered with 503.

    Args:
        passes: tells whether an error was answered so.
        clock: seconds that never go back.
    """

    def __init__(self, passes: Callable[[Exception], bool], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._passes, self._clock = passes, clock
        self._again: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record may be written, shortened where it is about such an error."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Exception) or not self._passes(error):
            return True
        said = what(error) or "the database broke a request off"
        if self._clock() < self._again.get(said, -math.inf):
            return False
        self._again[said] = self._clock() + QUIET_SECONDS
        record.msg = _LINE + _HINT if isinstance(error, NoFreeConnectionError) else _LINE
        record.args = (said, type(error).__name__)
        record.exc_info, record.exc_text = None, None
        return True


def is_outage(error: Exception) -> bool:
    """Tell whether it is an error that passes without anything having been changed."""
    return bool(what(error))


def what(error: Exception) -> str:
    """Return what is away, as a sentence; empty when nothing is.

    asyncpg passes on what the operating system says: refused, reset, timed out, no such host, or several of them.
    """
    if isinstance(error, NoFreeConnectionError):
        return "all connections to the database were busy for too long"
    if isinstance(error, REDIS_AWAY):
        return "Redis does not answer"
    if str(getattr(getattr(error, "orig", None), "sqlstate", "")).startswith(_TAKES_NO_WRITES):
        return "the database takes no writes: its disk is full, or it was made read-only"
    if isinstance(error, _AWAY) or (isinstance(error, OSError) and not isinstance(error, _OF_FILES)):
        return "the database does not answer"
    return ""
