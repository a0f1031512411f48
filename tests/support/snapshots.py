"""Runs what `migrate` and `restore-snapshot` do with copies in the test's own process, against the real Postgres."""

from __future__ import annotations

import asyncio
import json

import pytest
from prefect_server import (  # type: ignore[import-not-found,unused-ignore]
    database,
    preflight,
    restoring,
    schema,
    schema_copy,
    snapshots,
)
from prefect_server.settings import ServerSettings, read  # type: ignore[import-not-found,unused-ignore]

from sandbox.postgres import PostgresServer
from tests.support.migration import name_of
from tests.support.older_schema import COPIES
from tests.support.prefect_server import database_environment
from toolchain.prefect_env import prefect_python

COPY = "prefect_before_3_8_8"
AFTER = "prefect_after_3_8_8"


def as_if_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the code find the locked Prefect, which is not installed beside the tests."""
    package = next(prefect_python().parents[1].glob("lib/python3.*/site-packages/prefect"))
    monkeypatch.setattr(preflight, "prefect_folder", lambda: package)
    monkeypatch.setattr(snapshots, "version", lambda _: "3.8.8")
    monkeypatch.setattr(restoring, "version", lambda _: "3.8.8")


def settings_of(url: str, **environ: str) -> ServerSettings:
    """The image's settings for this database."""
    return read(database_environment(url) | environ, needs_keys=False)


def take(url: str, **environ: str) -> list[str]:
    """Do what `migrate` does before it upgrades, and return what it said."""

    async def run(settings: ServerSettings) -> list[str]:
        said: list[str] = []
        async with database.connection(settings) as connection:
            layout = await schema.inspect(connection, settings.schema)
            await snapshots.take(connection, settings, layout, said.append)
        return said

    return asyncio.run(run(settings_of(url, **environ)))


def definitions(url: str, name: str) -> schema_copy.Definitions:
    """Everything that the definitions of the schema `name` consist of."""

    async def describe() -> schema_copy.Definitions:
        async with database.connection(settings_of(url)) as connection, connection.transaction():
            return await schema_copy.describe(connection, schema_copy.Place(schema=name, trgm="extensions"))

    return asyncio.run(describe())


def note_of(postgres: PostgresServer, url: str, copy: str = COPY) -> dict[str, object]:
    """What the copy's comment says."""
    said = postgres.execute(f"SELECT obj_description('{copy}'::regnamespace, 'pg_namespace')", name_of(url))
    note = json.loads(said)
    assert isinstance(note, dict)
    return note


def change_note(postgres: PostgresServer, url: str, copy: str = COPY, **changes: object) -> None:
    """Change what the copy's comment says."""
    note = json.dumps(note_of(postgres, url, copy) | changes)
    postgres.execute(f"COMMENT ON SCHEMA {copy} IS '{note}'", name_of(url))


def end_upgrades(postgres: PostgresServer, url: str) -> None:
    """Say in the copies' notes that their upgrade has ended well, as `migrate` does; the schema stays as it is."""
    for copy in postgres.execute(COPIES, name_of(url)).splitlines():
        change_note(postgres, url, copy, finished=True)
