"""Keys that change while real servers run: published to one, known to all, and never older after a crash."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
import requests

from clients import signing
from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.migration import name_of
from tests.support.prefect_server import Program, database_environment, hashed, running
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.prefect

SECRET = "the-signing-secret-of-this-test"
JOINER = "key-of-who-joins"


def environment(url: str, generation: int, **keys: str) -> dict[str, str]:
    """What a machine holds whose secrets were last written with these keys."""
    return database_environment(url) | {
        "PREFECT_FLY_API_KEYS": hashed(keys),
        "PREFECT_FLY_KEYS_GENERATION": str(generation),
        "PREFECT_FLY_KEYS_SIGNING": SECRET,
    }


def publish(program: Program, generation: int, *, secret: str = SECRET, **keys: str) -> int:
    """Send a ring as the stack does and return the status."""
    ring = hashed(keys)
    body = {"generation": generation, "ring": ring, "mac": signing.ring_mac(secret, generation, ring)}
    headers = {"Authorization": f"Bearer {signing.publisher(SECRET)}"}
    return requests.put(f"{program.url}/gate/keys", json=body, headers=headers, timeout=600).status_code


def status(program: Program, key: str) -> int:
    """Ask Prefect itself for something with this key."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(f"{program.api_url}/flows/filter", json={}, headers=headers, timeout=600).status_code


def report(program: Program) -> dict[str, object]:
    """What the machine says of its keys."""
    headers = {"Authorization": f"Bearer {signing.publisher(SECRET)}"}
    answer: dict[str, object] = requests.get(f"{program.url}/gate/keys", headers=headers, timeout=600).json()
    return answer


@dataclass
class Pair:
    """Two servers on one database."""

    database: str
    one: Program
    other: Program


@pytest.fixture
def pair(migrated_database: Callable[[], str], tmp_path: Path) -> Iterator[Pair]:
    url = migrated_database()
    with ExitStack() as stack:
        one, other = (Program(tmp_path, environment(url, 1, **KEYS)) for _ in range(2))
        for program in (one, other):
            program.start()
            stack.callback(program.stop)
        for program in (one, other):
            program.wait_ready()
        yield Pair(name_of(url), one, other)


def test_a_login_joins_and_leaves_on_every_server(pair: Pair) -> None:
    """Published to one server, a new key is taken by both and a removed one refused by both; no process is another."""
    assert publish(pair.one, 2, **KEYS, joiner=JOINER) == 200
    assert status(pair.one, JOINER) == 200
    until(lambda: status(pair.other, JOINER) == 200)
    left = {name: key for name, key in KEYS.items() if name != "github"}
    assert publish(pair.other, 3, **left, joiner=JOINER) == 200
    assert status(pair.other, KEYS["github"]) == 401
    until(lambda: status(pair.one, KEYS["github"]) == 401)
    assert [status(program, JOINER) for program in (pair.one, pair.other)] == [200, 200]
    assert publish(pair.one, 2, **KEYS) == 409
    assert publish(pair.one, 9, secret="another", **KEYS) == 403
    assert [report(program)["generation"] for program in (pair.one, pair.other)] == [3, 3]


@pytest.mark.long
def test_the_websockets_of_a_revoked_key_are_closed(pair: Pair) -> None:
    """On the server that was told and on the other, with 1008; another key's websocket goes on."""

    async def listen(session: aiohttp.ClientSession, program: Program, name: str) -> aiohttp.ClientWebSocketResponse:
        opened = await session.ws_connect(f"{program.api_url}/events/in", protocols=["prefect"])
        await opened.send_json({"type": "auth", "token": f"{name}:{KEYS[name]}"})
        assert (await opened.receive_json())["type"] == "auth_success"
        return opened

    async def run() -> None:
        async with aiohttp.ClientSession() as session:
            leaving = [await listen(session, program, "github") for program in (pair.one, pair.other)]
            staying = await listen(session, pair.one, "orchestrator")
            left = {name: key for name, key in KEYS.items() if name != "github"}
            assert await asyncio.to_thread(publish, pair.one, 2, **left) == 200
            for opened in leaving:
                await opened.receive(timeout=PATIENCE)
                assert opened.close_code == 1008
            await staying.ping()
            assert not staying.closed

    asyncio.run(run())


@pytest.mark.long
def test_a_killed_server_comes_back_with_the_newest_keys(
    postgres: PostgresServer, migrated_database: Callable[[], str], tmp_path: Path
) -> None:
    """Killed after a ring was published, and killed with a newer secret than table: never with an older ring."""
    url = migrated_database()
    left = {name: key for name, key in KEYS.items() if name != "github"}
    first = Program(tmp_path, environment(url, 1, **KEYS))
    with running(first):
        assert publish(first, 2, **left) == 200
        first.stop(signal.SIGKILL)
    # Its own secret still has the key that was revoked.
    again = replace(first, process=None)
    with running(again):
        assert [status(again, KEYS[name]) for name in ("github", "admin")] == [401, 200]
        again.stop(signal.SIGKILL)
    # The secrets were written and the machine updated, and whoever was to publish the ring died before that.
    updated = Program(tmp_path, environment(url, 3, **left, joiner=JOINER))
    with running(updated):
        assert status(updated, JOINER) == 200
        assert postgres.execute("SELECT generation FROM prefect_fly.api_keys", name_of(url)) == "3"
        updated.stop(signal.SIGKILL)
    # The first machine, put back as it was: its secret is two generations old.
    with running(again) as oldest:
        assert [status(oldest, key) for key in (JOINER, KEYS["github"])] == [200, 401]


@pytest.mark.long
def test_a_row_written_by_somebody_else_is_ignored(postgres: PostgresServer, pair: Pair) -> None:
    """Whoever has the database's password lets nobody in; the log and the report say that it was tried."""
    intruder = json.loads(hashed({"intruder": "a-key-of-his"}))
    change = f"UPDATE prefect_fly.api_keys SET generation = 99, ring = '{json.dumps(intruder)}'"  # noqa: S608
    postgres.execute(change, pair.database)
    until(lambda: bool(report(pair.one)["forged"]) or bool(report(pair.other)["forged"]))
    until(lambda: postgres.execute("SELECT generation FROM prefect_fly.api_keys", pair.database) == "1")
    for program in (pair.one, pair.other):
        assert status(program, "a-key-of-his") == 401
        assert status(program, KEYS["admin"]) == 200
    assert "ignored keys in the database that this stack did not sign (generation 99)" in pair.one.log + pair.other.log
    assert publish(pair.one, 2, **KEYS, joiner=JOINER) == 200
    until(lambda: status(pair.other, JOINER) == 200)
