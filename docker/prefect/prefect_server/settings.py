"""The only reader of the process's environment: one frozen object, all problems reported together.

Names starting with PREFECT_FLY_ are this project's, the others are Prefect's own. The table is in
docs/server-image.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from prefect_server.keys import KeyRing, KeyRingError

DATABASE_URL = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
API_KEYS = "PREFECT_FLY_API_KEYS"
KEYS_SIGNING = "PREFECT_FLY_KEYS_SIGNING"
SCHEME = "postgresql+asyncpg"
TRANSACTION_POOLER_PORT = 6543

# Names of Prefect 2 and early 3, and settings the image decides by itself. A server that silently took them would run
# on another database, or with another lock, than the one people think.
REFUSED_NAMES = {
    "PREFECT_API_DATABASE_CONNECTION_URL": f"was renamed to {DATABASE_URL}",
    "PREFECT_ORION_DATABASE_CONNECTION_URL": f"was renamed to {DATABASE_URL}",
    "PREFECT_API_DATABASE_PASSWORD": f"is not read: put the password into {DATABASE_URL}",
    "PREFECT_SERVER_DATABASE_PASSWORD": f"is not read: put the password into {DATABASE_URL}",
    "PREFECT_SQLALCHEMY_POOL_SIZE": "was renamed to PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE",
    "PREFECT_SQLALCHEMY_MAX_OVERFLOW": "was renamed to PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW",
    "PREFECT_UI_API_URL": "is not read: the UI always uses /api on its own host",
    "PREFECT_SERVER_API_AUTH_STRING": f"is made up at every start: put named keys into {API_KEYS}",
    "PREFECT_SERVER_API_BASE_PATH": "cannot be changed: the gate guards /api",
}
SECRET_NAMES = (
    DATABASE_URL,
    API_KEYS,
    KEYS_SIGNING,
    "PREFECT_FLY_REDIS_URL",
    "PREFECT_SERVER_API_AUTH_STRING",
    *REFUSED_NAMES,
)
# Postgres cuts names after 63 characters, and the schema of our own tables has four more.
_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,58}")
_PEM = "-----BEGIN CERTIFICATE-----"


class SettingsError(ValueError):
    """The environment cannot be used; the text names every setting that is wrong and holds no value of a secret."""


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """The parts of the connection URL, decoded."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    name: str


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """What a verb needs to know.

    `keys` is None for the verbs that let nobody in; `keys_signing` is None for a server whose keys change only with it.
    """

    host: str
    port: int
    metrics_port: int
    database: DatabaseAddress
    schema: str
    require_tls: bool
    database_ca: str | None
    keys: KeyRing | None = field(repr=False)
    keys_text: str = field(repr=False)
    keys_generation: int
    keys_signing: str | None = field(repr=False)
    separate_services: bool
    redis_url: str | None = field(repr=False)
    migrate_timeout: float
    audit_keep_days: int
    keep_snapshots: int
    database_limit_mb: int
    snapshot_too_large: str
    image_before: str
    lineage_days: int


class _Reader:
    """Reads one variable after the other and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def text(self, name: str) -> str | None:
        return self._environ.get(name, "").strip() or None

    def flag(self, name: str, *, default: bool) -> bool:
        text = (self.text(name) or str(default)).lower()
        if text not in {"true", "false"}:
            self.problems.append(f'{name} is "{text}" and must be true or false')
        return text == "true"

    def choice(self, name: str, words: tuple[str, ...]) -> str:
        """One of `words`; the first is the default."""
        text = self.text(name) or words[0]
        if text not in words:
            self.problems.append(f'{name} is "{text[:20]}" and must be {" or ".join(words)}')
        return text

    def number(self, name: str, default: int, least: int, most: int) -> int:
        text = self.text(name) or str(default)
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            self.problems.append(f'{name} is "{text[:20]}" and must be a number from {least} to {most}')
            return default
        return int(text)


def read(environ: Mapping[str, str], *, needs_keys: bool) -> ServerSettings:
    """Read the settings of a verb.

    Raises:
        SettingsError: something is missing or wrong.
    """
    reader = _Reader(environ)
    reader.problems += [f"{name} {why}" for name, why in REFUSED_NAMES.items() if environ.get(name)]
    settings = ServerSettings(
        host=reader.text("PREFECT_SERVER_API_HOST") or "0.0.0.0",  # noqa: S104 - Fly's proxy comes from outside
        port=reader.number("PREFECT_SERVER_API_PORT", 4200, 1, 65535),
        metrics_port=reader.number("PREFECT_FLY_METRICS_PORT", 9091, 1, 65535),
        database=_read_database(reader),
        schema=_read_schema(reader),
        require_tls=reader.flag("PREFECT_FLY_DATABASE_REQUIRE_TLS", default=True),
        database_ca=_read_ca(reader),
        keys=_read_keys(reader) if needs_keys else None,
        keys_text=reader.text(API_KEYS) or "",
        keys_generation=reader.number("PREFECT_FLY_KEYS_GENERATION", 0, 0, 2**53 - 1),
        keys_signing=reader.text(KEYS_SIGNING),
        separate_services=reader.flag("PREFECT_FLY_SEPARATE_SERVICES", default=False),
        redis_url=_read_redis(reader),
        migrate_timeout=float(reader.number("PREFECT_FLY_MIGRATE_TIMEOUT", 300, 1, 86400)),
        keep_snapshots=reader.number("PREFECT_FLY_KEEP_SNAPSHOTS", 2, 0, 10),
        database_limit_mb=reader.number("PREFECT_FLY_DATABASE_LIMIT_MB", 0, 0, 1_000_000_000),
        snapshot_too_large=reader.choice("PREFECT_FLY_SNAPSHOT_TOO_LARGE", ("refuse", "skip")),
        image_before=reader.text("PREFECT_FLY_IMAGE_BEFORE") or "",
        lineage_days=reader.number("PREFECT_FLY_LINEAGE_DAYS", 90, 1, 3650),
        audit_keep_days=reader.number("PREFECT_FLY_AUDIT_KEEP_DAYS", 0, 0, 3650),
    )
    if settings.separate_services and not settings.redis_url:
        reader.problems.append("PREFECT_FLY_SEPARATE_SERVICES is true and PREFECT_FLY_REDIS_URL is not set")
    if reader.problems:
        raise SettingsError("could not read the settings: " + "; ".join(reader.problems))
    return settings


def _read_schema(reader: _Reader) -> str:
    schema = reader.text("PREFECT_FLY_DATABASE_SCHEMA") or "prefect"
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_") or schema.endswith("_fly"):
        reader.problems.append(
            f'PREFECT_FLY_DATABASE_SCHEMA is "{schema[:64]}" and must be lower-case letters, digits and "_", '
            'at most 59, without "_fly" at its end: that is the name of the schema of our own tables'
        )
    return schema


def _read_ca(reader: _Reader) -> str | None:
    text = reader.text("PREFECT_FLY_DATABASE_CA")
    if text and _PEM not in text:
        reader.problems.append("PREFECT_FLY_DATABASE_CA holds no PEM certificate")
    return text


def _read_keys(reader: _Reader) -> KeyRing | None:
    text = reader.text(API_KEYS)
    if text is None:
        reader.problems.append(f"{API_KEYS} is not set")
        return None
    try:
        return KeyRing.parse(text)
    except KeyRingError as error:
        reader.problems.append(f"{API_KEYS} cannot be used: {error}")
        return None


def _read_redis(reader: _Reader) -> str | None:
    text = reader.text("PREFECT_FLY_REDIS_URL")
    if text and (urlsplit(text).scheme not in {"redis", "rediss"} or not urlsplit(text).hostname):
        reader.problems.append("PREFECT_FLY_REDIS_URL must look like rediss://default:password@host:6379/0")
    return text


def _read_database(reader: _Reader) -> DatabaseAddress:
    text = reader.text(DATABASE_URL)
    problem = "is not set"
    if text:
        try:
            return _parse_database(urlsplit(text))
        except ValueError as error:
            problem = f"cannot be used: {error}"
    reader.problems.append(f"{DATABASE_URL} {problem}")
    return DatabaseAddress(host="", port=5432, user="", password="", name="")


def _parse_database(url: SplitResult) -> DatabaseAddress:
    if url.scheme != SCHEME:
        # Whatever stands before the colon of a string that is no URL may be a part of a password.
        known = (
            url.scheme if url.scheme in {"postgres", "postgresql", "sqlite", "sqlite+aiosqlite"} else "its beginning"
        )
        raise ValueError(f"it must start with {SCHEME}:// and not with {known}")
    if not url.hostname or not url.username or not url.password:
        raise ValueError("it needs a user, a percent-encoded password and a host")
    port = _port_of(url)
    if port == TRANSACTION_POOLER_PORT:
        raise ValueError(
            "port 6543 is a transaction pooler, on which Prefect's prepared statements fail: use port 5432"
        )
    unknown = sorted(key for key, _ in parse_qsl(url.query) if key != "ssl")
    if unknown:
        raise ValueError(f'the option "{unknown[0][:40]}" is not one Prefect takes, only ssl is')
    return DatabaseAddress(
        host=url.hostname,
        port=port,
        user=unquote(url.username),
        password=unquote(url.password),
        name=unquote(url.path.removeprefix("/")) or "postgres",
    )


def _port_of(url: SplitResult) -> int:
    try:
        return url.port or 5432
    except ValueError as error:  # its own text would repeat a part of an unescaped password
        raise ValueError("its port is no number from 1 to 65535, or the password is not percent-encoded") from error


def without_secrets(text: str, environ: Mapping[str, str]) -> str:
    """Take every secret of the environment out of a text, as it stands there and in its parts and spellings."""
    secrets: set[str] = set()
    for name in SECRET_NAMES:
        value = environ.get(name, "")
        password = value.partition("://")[2].rpartition("@")[0].partition(":")[2]
        secrets |= {value, password, unquote(password), quote(unquote(password), safe="")}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text
