"""The image's environment is read as a whole: each mistake has its sentence, all are told together, no value leaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prefect_server.environment import prefect_environment
from prefect_server.exit_codes import ExitCode
from prefect_server.keys import sha256
from prefect_server.settings import DATABASE_URL, SettingsError, read

URL = "postgresql+asyncpg://prefect:p%40ss@db.example:5432/app?ssl=require"
GOOD = {DATABASE_URL: URL, "PREFECT_FLY_API_KEYS": json.dumps({"a": sha256("k")})}


def test_defaults() -> None:
    """With only the two secrets everything else has the documented default."""
    settings = read(GOOD, needs_keys=True)
    assert (settings.port, settings.metrics_port) == (4200, 9091)
    assert settings.host == "0.0.0.0"  # noqa: S104 - Fly's proxy comes from outside
    assert (settings.schema, settings.require_tls, settings.separate_services) == ("prefect", True, False)
    assert settings.database.password == "p@ss"
    assert settings.database.name == "app"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        (DATABASE_URL, "", "is not set"),
        (DATABASE_URL, "postgres://u:s3cret@h/d", "must start with postgresql+asyncpg://"),
        (DATABASE_URL, "sqlite+aiosqlite:///x.db", "must start with postgresql+asyncpg://"),
        (DATABASE_URL, "postgresql+asyncpg://u:s3cret@h:6543/d", "port 6543"),
        (DATABASE_URL, "postgresql+asyncpg://u:s3cret@h/d?sslmode=require", '"sslmode"'),
        (DATABASE_URL, "postgresql+asyncpg://u:s3/cret@h/d", "percent-encoded"),
        (DATABASE_URL, "postgresql+asyncpg://h/d", "needs a user"),
        ("PREFECT_FLY_API_KEYS", "", "is not set"),
        ("PREFECT_FLY_API_KEYS", '{"a": "s3cret"}', "must be a SHA-256"),
        ("PREFECT_SERVER_API_PORT", "http", "must be a number from 1 to 65535"),
        ("PREFECT_FLY_METRICS_PORT", "0", "must be a number from 1 to 65535"),
        ("PREFECT_FLY_DATABASE_SCHEMA", "My Schema", "must be lower-case"),
        ("PREFECT_FLY_DATABASE_SCHEMA", "pg_temp", "must be lower-case"),
        ("PREFECT_FLY_DATABASE_REQUIRE_TLS", "yes", "must be true or false"),
        ("PREFECT_FLY_SEPARATE_SERVICES", "1", "must be true or false"),
        ("PREFECT_FLY_SEPARATE_SERVICES", "true", "PREFECT_FLY_REDIS_URL is not set"),
        ("PREFECT_FLY_REDIS_URL", "host:s3cret", "must look like rediss://"),
        ("PREFECT_FLY_DATABASE_CA", "/path/to/ca.pem", "holds no PEM certificate"),
        ("PREFECT_FLY_MIGRATE_TIMEOUT", "-1", "must be a number"),
        ("PREFECT_FLY_KEEP_SNAPSHOTS", "11", "must be a number from 0 to 10"),
        ("PREFECT_FLY_SNAPSHOT_TOO_LARGE", "ignore", "must be refuse or skip"),
        ("PREFECT_API_DATABASE_CONNECTION_URL", "s3cret", "was renamed to"),
        ("PREFECT_ORION_DATABASE_CONNECTION_URL", "s3cret", "was renamed to"),
        ("PREFECT_SERVER_API_AUTH_STRING", "admin:s3cret", "is made up at every start"),
        ("PREFECT_SERVER_API_BASE_PATH", "/prefect", "the gate guards /api"),
    ],
)
def test_each_mistake_has_its_sentence(name: str, value: str, says: str) -> None:
    """A wrong setting is refused with its name and the reason, and a secret value is not repeated."""
    with pytest.raises(SettingsError) as raised:
        read({**GOOD, name: value}, needs_keys=True)
    assert says in str(raised.value)
    assert name in str(raised.value) or "PREFECT_FLY_REDIS_URL" in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_all_mistakes_at_once() -> None:
    """Several mistakes are told in one go."""
    with pytest.raises(SettingsError) as raised:
        read({"PREFECT_SERVER_API_PORT": "x", "PREFECT_FLY_DATABASE_REQUIRE_TLS": "x"}, needs_keys=True)
    for name in (DATABASE_URL, "PREFECT_FLY_API_KEYS", "PREFECT_SERVER_API_PORT", "PREFECT_FLY_DATABASE_REQUIRE_TLS"):
        assert name in str(raised.value)


def test_secrets_are_not_in_the_repr() -> None:
    """A traceback that shows the settings shows no password and no key hash."""
    shown = repr(read({**GOOD, "PREFECT_FLY_REDIS_URL": "redis://x:s3cret@h"}, needs_keys=True))
    assert "p@ss" not in shown
    assert "s3cret" not in shown
    assert sha256("k") not in shown


def environment(tmp_path: Path, **extra: str) -> dict[str, str]:
    """What Prefect would be given."""
    settings = read({**GOOD, **extra}, needs_keys=True)
    return prefect_environment(settings, search_path='"prefect"', auth_string="x", verb="serve", scratch=tmp_path)


def test_tls_is_required_whatever_the_url_says(tmp_path: Path) -> None:
    """A URL that would allow plaintext is made to require TLS; only the explicit setting leaves it open."""
    lax = {DATABASE_URL: URL.replace("?ssl=require", "?ssl=prefer")}
    assert environment(tmp_path, **lax)[DATABASE_URL].endswith("?ssl=require")
    assert "ssl" not in environment(tmp_path, **lax, PREFECT_FLY_DATABASE_REQUIRE_TLS="false")[DATABASE_URL]


def test_own_ca_verifies_chain_and_name(tmp_path: Path) -> None:
    """With a CA the certificate's chain and the host's name are both verified."""
    wanted = environment(tmp_path, PREFECT_FLY_DATABASE_CA="-----BEGIN CERTIFICATE-----")
    prefix = "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_TLS_"
    assert wanted[f"{prefix}ENABLED"] == wanted[f"{prefix}CHECK_HOSTNAME"] == "true"
    assert Path(wanted[f"{prefix}CA_FILE"]).read_text() == "-----BEGIN CERTIFICATE-----"
    assert "ssl=" not in wanted[DATABASE_URL]


def test_exit_codes_stay_what_they_are() -> None:
    """Exit codes are an interface: the numbers that people and the program read never move."""
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "OTHER": 1,
        "UNREACHABLE": 10,
        "NAME_NOT_RESOLVABLE": 11,
        "BAD_PASSWORD": 12,
        "NO_SUCH_DATABASE": 13,
        "MISSING_PRIVILEGE": 14,
        "TLS_REFUSED": 15,
        "FOREIGN_ALEMBIC": 16,
        "SCHEMA_NEWER": 17,
        "TIMEOUT": 18,
        "BAD_SETTINGS": 19,
        "TABLES_MISPLACED": 20,
        "PREFECT_2": 21,
        "NEW_BESIDE_OTHERS": 22,
        "SNAPSHOT_TOO_LARGE": 23,
        "NO_SNAPSHOT": 24,
        "SERVER_RUNNING": 25,
    }
