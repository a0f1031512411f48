"""One connection to Postgres, with every way it can fail turned into a sentence and an exit code."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]

from prefect_server.exit_codes import ExitCode, VerbError
from prefect_server.settings import ServerSettings

CONNECT_SECONDS = 10.0


def _tls(settings: ServerSettings) -> ssl.SSLContext | str:
    if settings.database_ca:
        try:
            return ssl.create_default_context(cadata=settings.database_ca)
        except ssl.SSLError as error:
            raise VerbError(
                ExitCode.BAD_SETTINGS, "could not read PREFECT_FLY_DATABASE_CA: it holds no valid certificate"
            ) from error
    return "require" if settings.require_tls else "prefer"


def _failure(settings: ServerSettings, error: Exception) -> VerbError:
    """What a failed connection means. Postgres's own words may be quoted: they never hold the password."""
    address = settings.database
    place = f'database "{address.name}" at {address.host}:{address.port}'
    if isinstance(error, asyncpg.PostgresError):
        return _refusal(settings, error, place)
    if isinstance(error, socket.gaierror):
        return VerbError(ExitCode.NAME_NOT_RESOLVABLE, _unresolved(address.host))
    if isinstance(error, ssl.SSLError):
        reason = f"{error.reason or error}; check PREFECT_FLY_DATABASE_CA and the host's name"
        return VerbError(ExitCode.TLS_REFUSED, f"could not trust {place}: {reason}")
    if "rejected SSL upgrade" in str(error):
        reason = "it offers no TLS; set PREFECT_FLY_DATABASE_REQUIRE_TLS=false only for a private network"
        return VerbError(ExitCode.TLS_REFUSED, f"could not connect to {place} encrypted: {reason}")
    if _has_no_way_to(address.host, error):
        return VerbError(ExitCode.NAME_NOT_RESOLVABLE, _unresolved(address.host))
    reason = getattr(error, "strerror", None) or str(error) or f"no answer in {CONNECT_SECONDS:.0f} s"
    return VerbError(ExitCode.UNREACHABLE, f"could not reach {place}: {reason}")


def _refusal(settings: ServerSettings, error: Exception, place: str) -> VerbError:
    """What a database means that was reached and said no."""
    address = settings.database
    if "no pg_hba.conf entry" in str(error) and "no encryption" in str(error):
        code, reason = ExitCode.TLS_REFUSED, "it takes only encrypted connections"
    elif isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
        code, reason = ExitCode.BAD_PASSWORD, f'role "{address.user}" was refused ({error}); set the database URL anew'
    elif isinstance(error, asyncpg.InvalidCatalogNameError):
        code, reason = ExitCode.NO_SUCH_DATABASE, "there is no such database; create it first"
    elif isinstance(error, asyncpg.InsufficientPrivilegeError):
        grant = f'GRANT CONNECT ON DATABASE "{address.name}" TO "{address.user}"'
        code, reason = ExitCode.MISSING_PRIVILEGE, f"{error}; an admin must run: {grant}"
    else:
        code, reason = ExitCode.UNREACHABLE, str(error)
    return VerbError(code, f"could not connect to {place}: {reason}")


def _has_no_way_to(host: str, error: Exception) -> bool:
    """Tell whether a host has only IPv6 addresses and this machine has no IPv6."""
    numbers = {getattr(each, "errno", None) for each in (error, *getattr(error, "exceptions", ()))}
    if not numbers & {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL}:
        return False
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return True
    return all(family is socket.AF_INET6 for family, *_ in found)


def _unresolved(host: str) -> str:
    return (
        f'could not resolve the database\'s host "{host}" to an address this machine can use: check its spelling; '
        "a Supabase direct host has only IPv6, so from an IPv4-only place use the session pooler's address (port 5432)"
    )


@asynccontextmanager
async def connection(settings: ServerSettings) -> AsyncIterator[asyncpg.Connection]:
    """Open one connection, and close it at the end of the block.

    Raises:
        VerbError: it could not be had; its code says why.
    """
    address = settings.database
    tls = _tls(settings)
    try:
        lent = await asyncpg.connect(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=address.name,
            ssl=tls,
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": "prefect-fly"},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _failure(settings, error) from error
    try:
        yield lent
    finally:
        await lent.close()
