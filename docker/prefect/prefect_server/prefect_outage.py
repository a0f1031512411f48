"""While the database is away Prefect's answer is 503 instead of 500, because its clients repeat only the former.

Prefect answers 503 where a connection broke in the middle, and 500 where none could be made: then the first request
of a flow's client ends the flow, which stays "running" for ever. Whoever could not connect changed nothing, so that
repeating is safe.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncpg import exceptions as postgres  # type: ignore[import-untyped,import-not-found,unused-ignore]
from prefect.server.api import server  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import SelfCheckError

_NAME = "is_client_retryable_exception"

# Shut down, starting up, too many connections, connection lost: Postgres' classes 57, 53 and 08.
_AWAY = (
    postgres.OperatorInterventionError,
    postgres.InsufficientResourcesError,
    postgres.PostgresConnectionError,
)
# Errors of files are no reason to ask again.
_OF_FILES = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)


def answer_503() -> None:
    """Let Prefect take the errors of connecting for passing ones.

    Raises:
        SelfCheckError: Prefect no longer asks the function that tells them.
    """
    known: Callable[[Exception], bool] | None = getattr(server, _NAME, None)
    if known is None:
        raise SelfCheckError(f"Prefect has no {_NAME} any more, so an outage of the database would end running flows")
    setattr(server, _NAME, lambda error: known(error) or is_outage(error))


def is_outage(error: Exception) -> bool:
    """Tell whether an error says that the database could not be reached or takes nobody.

    asyncpg passes on what the operating system says: refused, reset, timed out, no such host, or several of them.
    """
    return isinstance(error, _AWAY) or (isinstance(error, OSError) and not isinstance(error, _OF_FILES))
