"""Where `backup` and `restore FILE` take the database's URL from, and what they refuse."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import pytest

from clients.endpoints import World
from ops import database_access
from ops.database_access import database_of
from ops.errors import OpsError
from ops.runtime import Runtime
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock

URL = "postgres://prefect.ref:p%40ss@pooler.example:5432/postgres"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let the Pulumi CLI know the secret URL, and return what it was asked."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0, stdout=f"{URL}\n", stderr="")

    groups = {
        "fly": {"org": "acme", "app": "acme-prefect"},
        "orchestrator": {"app": "acme-orchestrator", "healthUrl": "https://acme-orchestrator.fly.dev/health"},
        "github": {"repository": "acme"},
        "database": {"schema": "history"},
    }
    config: dict[str, dict[str, object]] = {
        f"prefect-fly:{name}": {"value": "{}", "objectValue": group} for name, group in groups.items()
    }
    config["prefect-fly:databaseUrl"] = {"secret": True}
    monkeypatch.setattr(database_access, "config_of", lambda *_: config)
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def runtime(world: World = World.REAL, **environ: str) -> Runtime:
    return replace(Surroundings(FakeClock(), environ).rt, world=world)


def test_the_secret_of_the_stack(asked: list[list[str]]) -> None:
    """Without the variable it is the stack's secret, and no command line or repr holds a part of it."""
    access = database_of("prod", runtime())
    assert (access.host, access.port, access.user, access.password) == ("pooler.example", 5432, "prefect.ref", "p@ss")
    assert (access.schema, access.tls) == ("history", True)
    assert asked == [["pulumi", "config", "get", "databaseUrl", "--stack", "prod"]]
    assert "p@ss" not in repr(access)


def test_the_variable_wins(asked: list[list[str]]) -> None:
    """DATABASE_URL is another way to the same database, for example its pooler; Pulumi is not asked then."""
    assert database_of("prod", runtime(DATABASE_URL="postgresql://u:p@other/db")).host == "other"
    assert asked == []


@pytest.mark.parametrize(
    ("world", "url", "says"),
    [
        (World.REAL, "postgresql://u:p@127.0.0.1/db", "127.0.0.1 is on this machine"),
        (World.SANDBOX, "postgresql://u:p@db.example/db", "db.example is not on this machine"),
        (World.REAL, "postgresql://u:hunter2@db.example:6543/db", "port 6543"),
    ],
)
def test_a_url_that_cannot_be(asked: list[list[str]], world: World, url: str, says: str) -> None:
    """A database of the other world, or behind a transaction pooler, is refused without its password."""
    with pytest.raises(OpsError, match=says) as raised:
        database_of("prod", runtime(world, DATABASE_URL=url))
    assert "hunter2" not in str(raised.value)


def test_no_passphrase(asked: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """When the secret cannot be read, the sentence names both ways out."""
    failed = subprocess.CompletedProcess([], 255, stdout="", stderr="error: passphrase must be set\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(OpsError, match=r"passphrase must be set\. Set PULUMI_CONFIG_PASSPHRASE, or DATABASE_URL"):
        database_of("prod", runtime())
