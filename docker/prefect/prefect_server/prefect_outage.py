"""While the database is away Prefect's answer is "maintenance" (503) instead of 500, which its clients wait out.

Prefect answers 503 where a connection broke in the middle, and 500 where none could be made: then the first request
of a flow's client ends the flow, which stays "running" for ever. Whoever could not connect changed nothing, so that
repeating is safe. The same goes for a request that waited in vain for one of this process's connections, which is what
many flow runs at once meet first. A 503 that says `Prefect-Maintenance: true` is repeated by Prefect's clients until it
ends, by those that do not know the header five times.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asyncpg import exceptions as postgres  # type: ignore[import-untyped,import-not-found,unused-ignore]
from prefect.server.api import server  # type: ignore[import-not-found,unused-ignore]
from sqlalchemy.exc import TimeoutError as NoFreeConnectionError  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import SelfCheckError

_JUDGE, _HANDLER = "is_client_retryable_exception", "custom_internal_exception_handler"
QUIET_SECONDS = 60.0
_LINE = "the database does not answer (%s): requests get 503 until it does"
_BUSY_LINE = (
    "all connections to the database were busy for too long (%s): requests get 503, docs/scale.md says what helps"
)
_HEADERS = {"Prefect-Maintenance": "true", "Retry-After": "5"}

# Shut down, starting up, too many connections, connection lost: Postgres' classes 57, 53 and 08.
_AWAY = (
    postgres.OperatorInterventionError,
    postgres.InsufficientResourcesError,
    postgres.PostgresConnectionError,
)
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
    """Writes one line a minute instead of a traceback for each request that was answered with 503.

    Args:
        passes: tells whether an error was answered so.
        clock: seconds that never go back.
    """

    def __init__(self, passes: Callable[[Exception], bool], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._passes, self._clock = passes, clock
        self._again = -math.inf

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record may be written, shortened where it is about such an error."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, Exception) or not self._passes(error):
            return True
        if self._clock() < self._again:
            return False
        self._again = self._clock() + QUIET_SECONDS
        record.msg = _BUSY_LINE if isinstance(error, NoFreeConnectionError) else _LINE
        record.args, record.exc_info, record.exc_text = (type(error).__name__,), None, None
        return True


def is_outage(error: Exception) -> bool:
    """Tell whether an error says that the database could not be reached, takes nobody, or that no connection was free.

    asyncpg passes on what the operating system says: refused, reset, timed out, no such host, or several of them.
    """
    return isinstance(error, (*_AWAY, NoFreeConnectionError)) or (
        isinstance(error, OSError) and not isinstance(error, _OF_FILES)
    )
