"""What the program knows of the database before anything connects to it: its URL and its connection budget.

People paste connection strings in many spellings; Prefect accepts one. `normalise` turns the former into the latter or
refuses with the reason, and never repeats a password. The spellings and their outcomes were measured against Prefect
3.8 and 3.9 (docs/server-image.md).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote

TRANSACTION_POOLER_PORT = 6543

_SCHEME = re.compile(r"^(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)$", re.DOTALL)
_ADDRESS = re.compile(
    r"^(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,9}))?(?P<path>/[^?#/]*)?(?:\?(?P<query>[^#]*))?$"
)
_ENCODED = re.compile(r"^(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*$")
_VERIFYING = {"verify-ca", "verify-full"}
_PLAINTEXT = {"disable", "allow", "prefer", "false", "0"}
_ENCRYPTED = {"require", "true", "1", *_VERIFYING}
_REFUSED_OPTIONS = {
    "sslrootcert": "put the certificate into the secret databaseCa",
    "options": "set database.schema instead of a search_path",
    "search_path": "set database.schema instead",
    "prepared_statement_cache_size": "use a direct or session-pooler address, which needs no such option",
    "statement_cache_size": "use a direct or session-pooler address, which needs no such option",
    "pgbouncer": "use the direct or session-pooler address (port 5432), not the transaction pooler",
}
# Options that tune other drivers and change nothing for ours.
_IGNORED_OPTIONS = {"connect_timeout", "channel_binding", "target_session_attrs", "gssencmode"}


class DatabaseUrlError(ValueError):
    """A connection string cannot be used; the text says why and never holds the password."""


@dataclass(frozen=True, kw_only=True)
class DatabaseUrl:
    """A connection string in its parts; `url` is the spelling Prefect accepts and holds the password."""

    user: str
    password: str = field(repr=False)
    host: str
    port: int
    name: str
    tls: bool

    @property
    def url(self) -> str:
        """The string for PREFECT_SERVER_DATABASE_CONNECTION_URL: asyncpg's scheme, everything percent-encoded."""
        credentials = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        tail = "?ssl=require" if self.tls else ""
        return f"postgresql+asyncpg://{credentials}@{self.host}:{self.port}/{quote(self.name, safe='')}{tail}"


def normalise(raw: str, *, require_tls: bool, has_ca: bool = False) -> DatabaseUrl:
    """Read a Postgres connection string in any common spelling.

    Accepts `postgres://`, `postgresql://` and SQLAlchemy's `postgresql+driver://`, libpq's `sslmode`, and a password
    with raw special characters. A password that is valid percent-encoding throughout is decoded.

    Args:
        raw: the connection string.
        require_tls: refuse a string that asks for an unencrypted connection, and add encryption to one that is silent.
        has_ca: a CA certificate is configured, so `verify-ca` and `verify-full` can be honoured.

    Raises:
        DatabaseUrlError: Prefect could not work with it.
    """
    userinfo, address = _split_address(_strip_scheme(raw.strip()))
    user, separator, password = userinfo.partition(":")
    if not user or not separator or not password:
        raise DatabaseUrlError("it has no user and password before the host: write postgresql://user:password@host/db")
    port = int(address["port"] or 5432)
    if port == TRANSACTION_POOLER_PORT:
        raise DatabaseUrlError(
            "port 6543 is a transaction pooler, on which Prefect's prepared statements fail: use the direct or "
            "session-pooler address (port 5432)"
        )
    if not 0 < port < 65536:
        raise DatabaseUrlError("the port is not between 1 and 65535")
    tls = _read_tls(address["query"] or "", require_tls=require_tls, has_ca=has_ca)
    return DatabaseUrl(
        user=_decode(user),
        password=_decode(password),
        host=address["host"] or "",
        port=port,
        name=unquote((address["path"] or "/").removeprefix("/")) or "postgres",
        tls=tls,
    )


def _strip_scheme(raw: str) -> str:
    found = _SCHEME.match(raw)
    if not found:
        raise DatabaseUrlError("it is no URL: write postgresql://user:password@host:5432/database")
    scheme = found["scheme"].lower()
    if scheme.partition("+")[0] not in {"postgres", "postgresql"}:
        raise DatabaseUrlError(f"{scheme}:// is not Postgres, and the server keeps its history in Postgres only")
    return found["rest"]


def _split_address(rest: str) -> tuple[str, dict[str, str | None]]:
    """Split at the `@` that really ends the credentials: a raw password may hold `@`, `/`, `?` and `#`."""
    ends = [index for index, char in enumerate(rest) if char == "@"]
    candidates = [(rest[:end], match) for end in reversed(ends) if (match := _ADDRESS.match(rest[end + 1 :]))]
    if not candidates:
        raise DatabaseUrlError("no host can be found after the last @: write postgresql://user:password@host/db")
    with_database = [pair for pair in candidates if pair[1]["path"]]
    userinfo, match = (with_database or candidates)[0]
    return userinfo, match.groupdict()


def _decode(text: str) -> str:
    return unquote(text) if _ENCODED.match(text) else text


def _read_tls(query: str, *, require_tls: bool, has_ca: bool) -> bool:
    modes: list[str] = []
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in {"sslmode", "ssl"}:
            modes.append(value.lower())
        elif key in _REFUSED_OPTIONS:
            raise DatabaseUrlError(f'the option "{key}" cannot be passed on: {_REFUSED_OPTIONS[key]}')
        elif key not in _IGNORED_OPTIONS:
            # It may be the end of a password with a "?" in it, so it is not repeated.
            raise DatabaseUrlError(
                "an option after the ? is unknown to the driver: remove it from the URL; write ? and @ of a password "
                "as %3F and %40"
            )
    if not modes:
        return require_tls
    mode = modes[-1]
    if mode not in _PLAINTEXT | _ENCRYPTED:
        raise DatabaseUrlError("its sslmode is unknown: write require, or leave it out")
    if mode in _VERIFYING and not has_ca:
        raise DatabaseUrlError(f"sslmode {mode} needs the server's root certificate: set the secret databaseCa")
    if mode in {"disable", "false", "0"} and require_tls:
        raise DatabaseUrlError(
            f"sslmode {mode} would send the password in clear: remove it, or set database.requireTls: false"
        )
    return require_tls or mode in _ENCRYPTED


# Direct connections per Supabase compute tier (docs/server-image.md).
TIER_CONNECTIONS = {"nano": 60, "micro": 60, "small": 90, "medium": 120}
# The dashboard, backups, a migration and a person with psql need some too; through a pooler the migration alone.
_RESERVED, _RESERVED_AT_POOLER = 12, 2
# One server was measured at pool + overflow + 2 at its peak; its vacuum service may hold one more, and so may the
# leases of concurrency limits for a moment, for which the reserve has room.
_BESIDE_POOL = 3
_DEFAULT_POOL = 5
_DEFAULT_OVERFLOW = 10
_SMALLEST_POOL = 3
_POOLER = re.compile(r"@[^@/?]*\.pooler\.supabase\.com(?=[:/?]|$)", re.IGNORECASE)


def is_pooler(raw_url: str) -> bool:
    """Tell whether a connection string leads to Supabase's session pooler, which takes few clients."""
    return bool(_POOLER.search(raw_url))


@dataclass(frozen=True)
class ConnectionBudget:
    """How many connections the server's processes may hold together, and the pool of each that keeps to it.

    `one_more` tells whether one more process than `processes` fits: a new machine beside the one it replaces.
    """

    total: int
    processes: int
    pool_size: int
    max_overflow: int
    one_more: bool = True

    @property
    def peak(self) -> int:
        """Connections all processes hold at most."""
        return self.processes * (self.pool_size + self.max_overflow + _BESIDE_POOL)

    def describe(self) -> str:
        """One line for the preview."""
        return (
            f"{self.processes} process(es) x (pool {self.pool_size} + overflow {self.max_overflow} + {_BESIDE_POOL}) = "
            f"{self.peak} of {self.total} connections"
        )


def connection_budget(
    tier: str, processes: int, pooler_clients: int | None = None, *, in_place: bool = False
) -> ConnectionBudget:
    """Size the pool of each of `processes` server processes for a database.

    One more process than `processes` has to fit: while a machine is replaced, by an update or because it moves to
    another region, the new one and the old one run side by side.

    Args:
        tier: of the database; bounds direct connections.
        processes: that run all the time.
        pooler_clients: how many clients the session pooler takes, None for direct connections.
        in_place: do without one more process where it does not fit: machines are then updated in place.

    Raises:
        ValueError: there are too few connections for that many processes.
    """
    total = TIER_CONNECTIONS[tier] if pooler_clients is None else pooler_clients
    reserved = _RESERVED if pooler_clients is None else _RESERVED_AT_POOLER
    each, one_more = (total - reserved) // (processes + 1) - _BESIDE_POOL, True
    if each < _SMALLEST_POOL and in_place:
        each, one_more = (total - reserved) // processes - _BESIDE_POOL, False
    if each < _SMALLEST_POOL:
        needed = (processes + (not in_place)) * (_SMALLEST_POOL + _BESIDE_POOL) + reserved
        what, way_out = f"a {tier} database has {total}", "use fewer replicas or a larger database.tier"
        if pooler_clients is not None:
            what = f"the session pooler takes {total}"
            way_out = "use fewer replicas, or raise the pool size in Supabase and set database.poolerClients to it"
        raise ValueError(f"{processes} server processes need at least {needed} connections, {what}: {way_out}")
    pool = min(_DEFAULT_POOL, each)
    return ConnectionBudget(total, processes, pool, min(_DEFAULT_OVERFLOW, each - pool), one_more)
