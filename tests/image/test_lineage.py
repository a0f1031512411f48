"""The lineage of real flows on a real server, and the filling of its tables from Prefect's on a real Postgres."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
import pytest
import requests
from prefect_server.lineage.filling import BATCH, Filler
from prefect_server.lineage.reading import FAILED, REFERENCED, SUCCEEDED

from sandbox.postgres import PostgresServer
from tests.image.conftest import KEYS
from tests.support.lineage import ask, edges, wait_for
from tests.support.prefect_server import Program, result_of, run_client

pytestmark = pytest.mark.prefect

CLIENTS = Path(__file__).parent / "clients"
RAW, RULES = "s3://captions/raw.csv", "s3://captions/rules.json"
CLEAN, WORDS = "postgres://warehouse/captions/clean", "postgres://warehouse/captions/words"
EDGES = {(RAW, CLEAN), (RULES, CLEAN), (CLEAN, WORDS)}
# Of today: what is too old is told by the database's clock.
NOW = datetime.now(UTC).replace(microsecond=0)


# Where a list of related resources should stand, or an id in one.
WRONG = (
    "null", "{}", "7", '"x"', "[7, null, [], {}]", '[{"prefect.resource.role": "asset"}]',
    '[{"prefect.resource.role": ["asset"], "prefect.resource.id": {}}]',
    '[{"prefect.resource.role": "flow-run", "prefect.resource.id": 9, "prefect.resource.name": "moose"}]',
)  # fmt: skip


def test_a_real_flows_lineage(server: Program, postgres: PostgresServer) -> None:
    """Assets, edges, outcomes, runs and words of real flows; they stay when Prefect has thrown the events away."""
    environ = server.client_environment(
        PREFECT_API_KEY=KEYS["orchestrator"], PREFECT_API_AUTH_STRING=f"orchestrator:{KEYS['orchestrator']}"
    )
    flow_runs = result_of(run_client(CLIENTS / "lineage.py", environ))

    graph = wait_for(server, lambda found: edges(found) >= EDGES and WORDS in str(found))
    outcomes = {asset["key"]: (asset["name"], asset["outcome"]) for asset in graph["assets"]}
    assert outcomes[RAW] == ("Raw captions", "succeeded")
    assert outcomes[RULES] == ("Rules", "referenced")
    assert outcomes[WORDS] == (None, "failed")

    database = urlsplit(server.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"]).path[1:]
    gone = postgres.execute("DELETE FROM prefect.events WHERE event LIKE 'prefect.asset.%' RETURNING 1", database)
    assert gone
    assert edges(ask(server)) >= EDGES
    asset = ask(server, "/asset", key=CLEAN)
    assert (asset["owners"], asset["url"]) == (["text team", "a person"], "https://wiki.example/clean")
    assert (asset["upstream"], asset["downstream"]) == ([RAW, RULES], [WORDS])
    assert [flow["flow"] for flow in asset["flows"]] == ["words", "captions"]
    assert [run["flow_run_id"] for run in asset["runs"]] == [flow_runs["words"], flow_runs["captions"]]
    assert asset["runs"][0]["metadata"] == {"rows": 3, "columns": ["id", "text"]}
    assert asset["runs"][0]["made_by"] == "dbt"
    older = ask(server, "/asset", key=CLEAN, before=asset["runs"][0]["occurred"], before_id=asset["runs"][0]["id"])
    assert [run["id"] for run in older["runs"]] == [asset["runs"][1]["id"]]
    assert ask(server, "/asset", key=RULES)["last_succeeded"] is None

    first = ask(server, "/openlineage", limit=2)
    assert len(first["events"]) == 2
    events = first["events"] + ask(server, "/openlineage", after=first["next"])["events"]
    failed = next(event for event in events if event["eventType"] == "FAIL")
    assert failed["job"] == {"namespace": "prefect", "name": "words.count"}
    assert failed["inputs"] == [{"namespace": "postgres://warehouse", "name": "captions/clean"}]
    assert failed["run"]["facets"]["parent"]["run"]["runId"] == flow_runs["words"]


def test_strangers_see_the_page_and_no_data(server: Program) -> None:
    """Without a key the page's files are there and everything that they show is refused, in any disguise."""
    assert 'src="/lineage/app.js"' in requests.get(f"{server.url}/lineage", timeout=600).text
    for path in ("/api/lineage", "/api/lineage/asset?key=a", "/api/lineage/openlineage", "/%61pi/lineage"):
        assert requests.get(f"{server.url}{path}", timeout=600).status_code == 401, path
    unknown = requests.get(
        f"{server.api_url}/lineage/asset?key=nothing",
        headers={"Authorization": f"Bearer {KEYS['github']}"},
        timeout=600,
    )
    assert unknown.status_code == 404


@dataclass
class Events:
    """Writes events as Prefect does, and reads what became of them."""

    url: str
    connection: Any

    def filler(self, now: datetime = NOW, clock: float = 0.0, keep_days: int = 90) -> Filler:
        """A filler as another process has it."""

        @asynccontextmanager
        async def borrow() -> AsyncIterator[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                yield connection
            finally:
                await connection.close()

        return Filler(borrow, schema="prefect", keep_days=keep_days, clock=lambda: clock, now=lambda: now)

    async def add(
        self,
        event: str,
        key: str,
        *upstream: str,
        ago: timedelta = timedelta(),
        written: timedelta | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Add one event that occurred some time ago and was written then, or at another time."""
        related = [{"prefect.resource.id": each, "prefect.resource.role": "asset"} for each in upstream]
        await self.connection.execute(
            "INSERT INTO prefect.events (occurred, event, resource_id, resource, related, payload, received, recorded, "
            "updated) VALUES ($1, $2, $3, $4, $5, '{}', now(), now(), $6)",
            NOW - ago, event, key, json.dumps({"prefect.resource.id": key, **(labels or {})}), json.dumps(related),
            NOW - (ago if written is None else written),
        )  # fmt: skip

    async def count(self, table: str) -> int:
        """How many rows one of our tables has."""
        return int(await self.connection.fetchval(f"SELECT count(*) FROM prefect_fly.{table}"))  # noqa: S608


@pytest.fixture
def with_events(migrated_database: Callable[[], str]) -> Callable[[Callable[[Events], Awaitable[None]]], None]:
    """Runs something on a fresh migrated database."""

    def run(what: Callable[[Events], Awaitable[None]]) -> None:
        async def connected() -> None:
            url = migrated_database()
            connection = await asyncpg.connect(url)
            try:
                await what(Events(url, connection))
            finally:
                await connection.close()

        asyncio.run(connected())

    return run


def test_what_was_there_before_is_taken_over(with_events: Callable[..., None]) -> None:
    """The first look takes all that Prefect still has, more than one batch of it, and a second one adds nothing."""

    async def what(events: Events) -> None:
        for number in range(BATCH + 20):
            ago = timedelta(days=6) - timedelta(minutes=number)
            await events.add(SUCCEEDED, f"s3://{number % 7}", "s3://source", ago=ago)
        await events.add(FAILED, "s3://0", "s3://other", ago=timedelta(days=5, hours=1))
        assert await events.filler().round() == BATCH + 21
        assert await events.filler().round() == 0
        assert (await events.count("asset"), await events.count("asset_edge")) == (9, 8)
        newest = await events.connection.fetchrow("SELECT * FROM prefect_fly.asset WHERE key = 's3://0'")
        assert newest["last_succeeded"] is False
        assert newest["last_at"] == NOW - timedelta(days=5, hours=1)

    with_events(what)


def test_an_event_that_comes_late_is_not_lost(with_events: Callable[..., None]) -> None:
    """What occurred days ago is taken in the next round; what a wrong clock says was written days ago, within a day."""

    async def what(events: Events) -> None:
        filler = events.filler()
        clock = [0.0]
        filler._clock = lambda: clock[0]
        await events.add(SUCCEEDED, "s3://a")
        assert await filler.round() == 1
        await events.add(FAILED, "s3://a", ago=timedelta(minutes=30), written=timedelta(seconds=9))
        await events.add(FAILED, "s3://a", "s3://b", ago=timedelta(days=3), written=timedelta())
        await events.add(FAILED, "s3://a", "s3://c", ago=timedelta(days=2))
        clock[0] = 5
        assert await filler.round() == 2
        clock[0] = 86_300
        assert await filler.round() == 0
        clock[0] = 86_500
        assert await filler.round() == 1
        assert await events.connection.fetchval("SELECT last_succeeded FROM prefect_fly.asset WHERE key = 's3://a'")
        assert await events.count("asset_edge") == 2

    with_events(what)


def test_several_servers_fill_once(with_events: Callable[..., None]) -> None:
    """Four fillers at the same time keep each event once."""

    async def what(events: Events) -> None:
        for number in range(2 * BATCH):
            await events.add(SUCCEEDED, f"s3://{number % 30}", f"s3://{number % 11}", ago=timedelta(seconds=number))
        await asyncio.gather(*(events.filler().round() for _ in range(4)))
        await events.filler().round()
        assert await events.count("asset_run") == 2 * BATCH
        ids = await events.connection.fetchval("SELECT count(DISTINCT event_id) FROM prefect_fly.asset_run")
        assert ids == 2 * BATCH

    with_events(what)


def test_old_runs_go_and_the_graph_stays(with_events: Callable[..., None]) -> None:
    """Runs older than the setting are removed, and are not taken again from events that are still there."""

    async def what(events: Events) -> None:
        await events.add(SUCCEEDED, "s3://a", "s3://b", ago=timedelta(days=2))
        await events.filler().round()
        assert await events.filler(keep_days=1).round() == 0
        assert await events.count("asset_run") == 0
        assert (await events.count("asset"), await events.count("asset_edge")) == (2, 1)

    with_events(what)


def test_a_clock_that_jumps_loses_no_run(with_events: Callable[..., None]) -> None:
    """A year ahead, a server removes nothing, and takes what is new; back again, it takes what it would have missed."""

    async def what(events: Events) -> None:
        filler = events.filler()
        await events.add(SUCCEEDED, "s3://a", ago=timedelta(days=2))
        filler._now = lambda: NOW + timedelta(days=400)
        assert await filler.round() == 1
        assert await events.count("asset_run") == 1
        await events.add(SUCCEEDED, "s3://b")
        filler._now = lambda: NOW
        assert await filler.round() == 1

    with_events(what)


def test_words_about_an_asset(with_events: Callable[..., None]) -> None:
    """What only a reference says is kept, a later word counts, and a bare key takes nothing away."""

    async def what(events: Events) -> None:
        name, owners = "prefect.resource.name", "prefect.asset.owners"
        await events.add(REFERENCED, "s3://a", ago=timedelta(minutes=4), labels={name: "Old", owners: '["b", "c"]'})
        await events.add(SUCCEEDED, "s3://a", ago=timedelta(minutes=3), labels={name: "New"})
        await events.add(REFERENCED, "s3://a", ago=timedelta(minutes=2))
        await events.add(REFERENCED, "s3://outside", ago=timedelta(minutes=1), labels={name: "Outside"})
        await events.add(REFERENCED, "x" * 3000, labels={name: "too long"})
        await events.filler().round()
        rows = await events.connection.fetch("SELECT key, name, owners FROM prefect_fly.asset ORDER BY key")
        assert [tuple(row) for row in rows] == [("s3://a", "New", '["b", "c"]'), ("s3://outside", "Outside", None)]

    with_events(what)


def test_strange_events_stop_nothing(with_events: Callable[..., None]) -> None:
    """Events that anybody can send are skipped or kept in part, and the next one is kept whole."""

    async def what(events: Events) -> None:
        await events.add(SUCCEEDED, "x" * 3000)
        await events.add(SUCCEEDED, "")
        await events.add(SUCCEEDED, "s3://many", *(f"s3://{n}/{'x' * 200}" for n in range(2000)))
        await events.add(SUCCEEDED, "s3://itself", "s3://itself")
        await events.add(SUCCEEDED, "s3://good", "s3://b", labels={"prefect.asset.owners": "[["})
        for number, related in enumerate(WRONG):
            await events.add(FAILED, f"s3://wrong/{number}", "s3://c", ago=timedelta(seconds=1))
            await events.connection.execute(
                "UPDATE prefect.events SET related = $1 WHERE resource_id = $2", related, f"s3://wrong/{number}"
            )
        assert await events.filler().round() == 3 + len(WRONG)
        assert await events.count("asset_edge") == 2
        rows = await events.connection.fetch(
            "SELECT flow_run_id, flow_run, flow_id FROM prefect_fly.asset_run WHERE flow_run IS NOT NULL"
        )
        assert [tuple(row) for row in rows] == [(None, "moose", None)]

    with_events(what)


def test_assets_are_forgotten_with_all_that_is_theirs(with_events: Callable[..., None]) -> None:
    """The SQL that the documentation names for removing assets removes their runs and edges too."""

    async def what(events: Events) -> None:
        await events.add(SUCCEEDED, "s3://a", "s3://b")
        await events.add(SUCCEEDED, "s3://c", "s3://a")
        await events.filler().round()
        await events.connection.execute("DELETE FROM prefect_fly.asset WHERE key LIKE 's3://a%'")
        assert (await events.count("asset_run"), await events.count("asset_edge")) == (1, 0)

    with_events(what)
