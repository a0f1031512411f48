"""Lineage: reading Prefect's events about assets, and what is served of it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from prefect_server.lineage import pages
from prefect_server.lineage.filling import BATCH, Filler
from prefect_server.lineage.open_lineage import dataset, event_of
from prefect_server.lineage.reading import Description, newest, read_description
from prefect_server.self_check import Exchange

from tests.support.asgi_double import Inner, make_gate

AT = datetime(2026, 11, 28, 1, 41, 42, tzinfo=UTC)
RUN = UUID("199994be-249c-447d-98b4-ff61e30eefdc")


def row(resource: object) -> dict[str, Any]:
    """A row of events as the database gives it."""
    return {"occurred": AT, "resource": json.dumps(resource)}


@pytest.mark.parametrize(
    "wrong",
    [
        row({"prefect.resource.id": ""}), row({"prefect.resource.id": "x" * 3000}), row({"prefect.resource.id": 7}),
        row([]), row({}), row({}) | {"resource": "{"}, row({}) | {"resource": None},
        row({}) | {"resource": "[" * 100_000}, row({"prefect.resource.id": "a\0b"}),
        row({"prefect.resource.id": "\ud800"}),
    ],
)  # fmt: skip
def test_what_is_no_asset_is_left_out(wrong: Mapping[str, Any]) -> None:
    """An event without a key that could be kept describes nothing, and nothing is raised."""
    assert read_description(wrong) is None


class _Unreadable:
    """A database whose every batch of descriptions is full of events that say nothing that can be read."""

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[_Unreadable]:
        yield self

    transaction = borrow

    async def fetchval(self, *_arguments: object, **_options: object) -> bool:
        return True

    async def fetchrow(self, *_arguments: object, **_options: object) -> Mapping[str, int]:
        return {"added": 0, "seen": 0}

    async def fetch(self, *_arguments: object, **_options: object) -> list[Mapping[str, Any]]:
        return [row([])] * BATCH

    async def execute(self, *_arguments: object, **_options: object) -> None:
        """Write nothing."""


def test_a_batch_that_cannot_be_read_ends_the_round() -> None:
    """Such events stay new, and would be asked for without end."""
    assert asyncio.run(Filler(_Unreadable().borrow, schema="prefect", keep_days=30).round()) == 0


def test_a_description_is_read() -> None:
    """Name, description, address and the list of owners, which Prefect puts in as JSON; other owners are none."""
    resource = {
        "prefect.resource.id": "s3://raw", "prefect.resource.name": "Raw", "prefect.asset.description": "As they come.",
        "prefect.asset.url": "https://wiki.example", "prefect.asset.owners": '["video team", 7, ""]',
    }  # fmt: skip
    found = read_description(row(resource))
    assert found == Description(
        key="s3://raw",
        at=AT,
        name="Raw",
        description="As they come.",
        url="https://wiki.example",
        owners=["video team"],
    )
    bare = read_description(row({"prefect.resource.id": "s3://raw", "prefect.asset.owners": "video team"}))
    assert bare is not None
    assert (bare.name, bare.owners) == (None, None)


def test_later_words_win_field_by_field() -> None:
    """Of several descriptions of an asset the newest field counts, in whatever order they come."""
    first = Description(key="a", at=AT, name="Old", description="Kept.")
    second = Description(key="a", at=AT + timedelta(seconds=1), name="New", owners=["b"])
    expected = Description(key="a", at=second.at, name="New", description="Kept.", owners=["b"])
    assert newest([second, first]) == [expected]


EXPORTED = {
    "event_id": UUID(int=1), "occurred": AT, "succeeded": True, "flow_run_id": RUN, "flow": "captions",
    "task_run_id": UUID(int=2), "task_run": "clean-f13", "key": "s3://bucket/a/clean.csv", "description": "Cleaned.",
    "owners": '["text team"]', "inputs": ["s3://bucket/raw.csv"],
}  # fmt: skip


def test_an_open_lineage_event() -> None:
    """Everything the specification requires, the run is the task's and its parent the flow's."""
    event: Any = event_of(EXPORTED)
    assert (event["eventType"], event["eventTime"]) == ("COMPLETE", "2026-11-28T01:41:42+00:00")
    assert event["run"]["runId"] == str(UUID(int=2))
    parent = event["run"]["facets"]["parent"]
    assert parent["run"] == {"runId": str(RUN)}
    assert parent["job"] == {"namespace": "prefect", "name": "captions"}
    assert event["job"] == {"namespace": "prefect", "name": "captions.clean"}
    assert event["inputs"] == [{"namespace": "s3://bucket", "name": "raw.csv"}]
    facets = event["outputs"][0]["facets"]
    assert (event["outputs"][0]["namespace"], event["outputs"][0]["name"]) == ("s3://bucket", "a/clean.csv")
    assert facets["documentation"]["description"] == "Cleaned."
    assert facets["ownership"]["owners"] == [{"name": "text team"}]
    for each in (parent, *facets.values()):
        assert each["_producer"] == event["producer"]
        assert re.fullmatch(r"https://openlineage\.io/spec/facets/1-0-1/\w+\.json#/\$defs/\w+", each["_schemaURL"])


def test_an_open_lineage_event_of_an_event_from_outside_a_run() -> None:
    """Without flow and task there are still a run, a job and a failure."""
    bare = dict.fromkeys(("flow_run_id", "flow", "task_run_id", "task_run", "description", "owners"))
    event: Any = event_of(EXPORTED | bare | {"succeeded": False, "inputs": []})
    assert event["eventType"] == "FAIL"
    assert event["run"] == {"runId": str(UUID(int=1))}
    assert event["job"]["name"] == "unknown"
    assert "facets" not in event["outputs"][0]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("s3://bucket/a/b.csv", ("s3://bucket", "a/b.csv")), ("postgres://db:5432/x.y.z", ("postgres://db:5432", "x.y.z")),
     ("s3://bucket", ("s3://", "bucket")), ("s3://bucket/", ("s3://", "bucket/")), ("plain", ("prefect", "plain")),
     ("file:///a/b", ("file://", "a/b"))],
)  # fmt: skip
def test_names_of_data_sets(key: str, expected: tuple[str, str]) -> None:
    """A key is split where OpenLineage splits names, and neither part is ever empty."""
    assert dataset(key) == dict(zip(("namespace", "name"), expected, strict=True))


def ask(path: str, method: str = "GET", query: bytes = b"", **headers: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of the gate's answer."""

    async def run() -> tuple[int, dict[bytes, bytes], bytes]:
        given = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": given}
        exchange = Exchange([{"type": "http.request", "body": b"", "more_body": False}])
        await make_gate(Inner())(scope, exchange.receive, exchange.send)
        start, body = exchange.sent
        return start["status"], dict(start["headers"]), body["body"]

    return asyncio.run(run())


@pytest.mark.parametrize("path", ["/api/lineage", "/api/lineage/asset", "/api/lineage/openlineage", "/api/lineage/"])
def test_the_data_needs_a_credential(path: str) -> None:
    """The graph, an asset and the export are refused without a key, as everything below /api."""
    assert ask(path)[0] == 401
    assert ask(path, authorization=b"Bearer wrong")[0] == 401


@pytest.mark.parametrize(
    ("path", "method", "query", "status", "says"),
    [
        ("/api/lineage", "POST", b"", 405, "read only"),
        ("/api/lineage", "GET", b"", 503, "did not answer"),
        ("/api/lineage/else", "GET", b"", 404, "Not Found"),
        ("/api/lineage/openlineage", "GET", b"after=-1", 422, '"after" must be a whole number'),
        ("/api/lineage/openlineage", "GET", b"limit=x", 422, '"limit" must be a whole number'),
        ("/api/lineage/openlineage", "GET", b"after=9999999999999999999", 422, '"after" must be a whole number'),
        ("/api/lineage/asset", "GET", b"key=a&before=nan", 422, '"before" must be a time'),
        ("/api/lineage/asset", "GET", b"key=a&before=1e300", 422, '"before" must be a time'),
    ],
)
def test_wrong_questions_get_a_sentence(path: str, method: str, query: bytes, status: int, says: str) -> None:
    """Whatever is asked for wrongly, or cannot be had, is answered with one sentence and never by Prefect."""
    got, _, body = ask(path, method, query, authorization=b"Bearer good-key")
    assert got == status
    assert says in json.loads(body)["exception_message"]


def test_every_file_of_the_page_is_open_and_keeps_to_itself() -> None:
    """No credential is needed, no script of a page's own text may run, and nothing comes from another host."""
    assert {
        "/lineage",
        "/lineage/",
        "/lineage/app.js",
        "/lineage/draw.js",
        "/lineage/vendor/d3.js",
    } <= pages.files().keys()
    for path in pages.files():
        status, headers, body = ask(path)
        assert status == 200, path
        assert headers[b"x-frame-options"] == b"DENY"
        policy = headers[b"content-security-policy"].decode()
        assert "script-src 'self';" in policy
        assert "unsafe-eval" not in policy
        packed = ask(path, accept_encoding=b"gzip, br")
        assert gzip.decompress(packed[2]) == body
        assert ask(path, if_none_match=headers[b"etag"])[::2] == (304, b"")
        assert ask(path, "HEAD")[::2] == (200, b"")
        if path.endswith((".html", "/lineage", "/")):
            assert not re.search(rb"<script(?![^>]*src=)|\bon\w+=|https?:", body)
    assert ask("/lineage/../gate.py")[0] == ask("/lineage/nothing")[0] == 200, (
        "what we do not have is the UI's to answer"
    )


def test_d3_is_the_file_that_was_recorded() -> None:
    """What is served is what its pinned packages make, and their licences lie beside it."""
    source = pages.FOLDER.parents[2] / "d3"
    recorded = json.loads((source / "package.json").read_text())
    made = pages.FOLDER / "vendor" / "d3.js"
    assert hashlib.sha256(made.read_bytes()).hexdigest() == recorded["config"]["sha256"]
    locked = json.loads((source / "package-lock.json").read_text())["packages"]
    licences = made.with_name("d3.LICENSE.txt").read_text()
    for name, package in locked.items():
        assert not name or package["integrity"].startswith("sha512-")
        assert package.get("dev") or not name or f"==> {name}/LICENSE <==" in licences
    for name, version in recorded["dependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version
