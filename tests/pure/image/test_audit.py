"""The audit: what becomes a line, what never stands in one, and what happens when the database is away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from prefect_server import audit as audit_module
from prefect_server.audit import DAY_SECONDS, Audit, Line, Question, StoreError, read_question
from prefect_server.gate import Gate
from prefect_server.keys import Key, KeyRing, Rights, sha256
from prefect_server.self_check import Exchange

from tests.support.asgi_double import Inner, make_gate, request
from tests.support.waiting import PATIENCE

ID = "0f0f0f0f-0f0f-4f0f-8f0f-0f0f0f0f0f0f"
CANARY = "s3cret-canary"


class Rows:
    """A store in memory, which can be away, or hang."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.ages: list[float] = []
        self.forgotten: list[float] = []
        self.tidied = asyncio.Event()
        self.away = False
        self.hangs = False

    async def write(self, lines: Sequence[tuple[Line, float]]) -> None:
        """Keep them."""
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        if self.away:
            raise StoreError("ConnectionRefusedError")
        self.lines += [line for line, _ in lines]
        self.ages += [age for _, age in lines]

    async def read(self, question: Question) -> list[tuple[int, Line]]:
        """All of them, newest first."""
        return list(enumerate(self.lines, 1))[::-1][: question.limit]

    async def forget(self, seconds: float) -> None:
        """Remember what was asked."""
        self.forgotten.append(seconds)
        self.tidied.set()


def note(audit: Audit, number: int = 0) -> None:
    """Note one change."""
    audit.note(
        login="anna",
        rights="operator",
        method="POST",
        route="/api/flow_runs/{id}/set_state",
        values={"id": f"run-{number}"},
        status=201,
        client="192.0.2.7",
    )


def lines_in(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The audit's lines in the log, which are JSON."""
    return [json.loads(record.getMessage()) for record in caplog.records if record.name == "prefect_fly.audit"]


async def send(gate: Gate, name: str, method: str, path: str) -> None:
    """Send a request with secrets in its query, its headers and its body."""
    scope = request(path, f"Bearer {name}-key".encode(), CANARY.encode(), method, f"token={CANARY}".encode())
    body = json.dumps({"is_paused": True, "password": CANARY}).encode()
    scope["headers"] += [
        (b"fly-client-ip", b"192.0.2.7"),
        (b"x-token", CANARY.encode()),
        (b"content-length", b"%d" % len(body)),
    ]
    exchange = Exchange([{"type": "http.request", "body": body, "more_body": False}])
    await gate(scope, exchange.receive, exchange.send)


def test_changes_are_noted_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """Runs and changes, done or refused, with login, rights, route, id, status and address; no reads, no reports."""

    async def run() -> None:
        gate = make_gate(Inner())
        rights = {"vera": Rights.VIEWER, "olga": Rights.OPERATOR, "adam": Rights.ADMIN}
        gate.keys = KeyRing({name: Key((sha256(f"{name}-key"),), each) for name, each in rights.items()})
        await send(gate, "olga", "POST", f"/api/flow_runs/{ID}/set_state")
        await send(gate, "vera", "DELETE", f"/api/flow_runs/{ID}")
        await send(gate, "olga", "PATCH", "/api/work_pools/my-pool")
        await send(gate, "adam", "PUT", "/api/not/known")
        for method, path in (("POST", "/api/flow_runs/filter"), ("GET", f"/api/flows/{ID}"), ("POST", "/api/logs/")):
            await send(gate, "adam", method, path)
        await send(gate, "nobody", "DELETE", f"/api/flow_runs/{ID}")

    with caplog.at_level(logging.INFO):
        asyncio.run(run())
    seen = [
        (each["login"], each["rights"], each["method"], each["route"], each["object"], each["status"])
        for each in lines_in(caplog)
    ]
    assert seen == [
        ("olga", "operator", "POST", "/api/flow_runs/{id}/set_state", ID, 200),
        ("vera", "viewer", "DELETE", "/api/flow_runs/{id}", ID, 403),
        ("olga", "operator", "PATCH", "/api/work_pools/{name}", "my-pool", 403),
        ("adam", "admin", "PUT", "(unknown)", "", 200),
    ]
    assert {each["client"] for each in lines_in(caplog)} == {"192.0.2.7"}
    assert all(each["time"].endswith("Z") for each in lines_in(caplog))
    assert CANARY not in caplog.text


def test_a_path_cannot_write_a_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """What somebody puts into a path is cut, and stays inside of the line's one JSON text."""

    async def run() -> None:
        gate = make_gate(Inner(), adam="adam-key")
        await send(gate, "adam", "DELETE", '/api/variables/name/x", "login": "anna' + "y" * 1000)

    with caplog.at_level(logging.INFO, logger="prefect_fly.audit"):
        asyncio.run(run())
    (line,) = lines_in(caplog)
    assert line["login"] == "adam"
    assert len(line["object"]) == 200
    assert "\n" not in caplog.records[-1].getMessage()


def test_lines_are_written_in_batches_and_old_ones_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task of its own writes what waits, at the end too, and removes what is older than was asked."""
    monkeypatch.setattr(audit_module, "FLUSH_SECONDS", 0.01)

    async def run() -> None:
        rows = Rows()
        audit = Audit(rows, 30)
        async with audit.keeping():
            for number in range(3):
                note(audit, number)
            await asyncio.wait_for(rows.tidied.wait(), PATIENCE)
            assert [line.object for line in rows.lines] == ["run-0", "run-1", "run-2"]
            assert rows.forgotten == [30 * DAY_SECONDS]
            note(audit, 3)
        assert len(rows.lines) == 4
        assert audit.not_kept == 0

    asyncio.run(run())


def test_a_clock_that_jumps_makes_no_line_older() -> None:
    """The table gets a line's age by a clock that never jumps; the log has what the server took for the time."""

    async def run() -> None:
        rows, times = Rows(), {"clock": 100 * DAY_SECONDS, "steady": 7.0}
        audit = Audit(rows, 30, clock=lambda: times["clock"], steady=lambda: times["steady"])
        note(audit)
        times.update(clock=60 * DAY_SECONDS, steady=9.5)
        assert await audit.flush()
        assert (rows.ages, rows.lines[0].at) == ([2.5], 100 * DAY_SECONDS)

    asyncio.run(run())


def test_a_database_that_is_away_costs_lines_only_when_many_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They wait for it, the oldest go when there are too many, and the counter says how many; the log has them all."""
    monkeypatch.setattr(audit_module, "MOST_WAITING", 10)

    async def run() -> None:
        rows = Rows()
        audit = Audit(rows, 30)
        rows.away = True
        for number in range(12):
            note(audit, number)
            assert not await audit.flush()
        assert audit.not_kept == 2
        rows.away = False
        assert await audit.flush()
        assert [line.object for line in rows.lines] == [f"run-{number}" for number in range(2, 12)]

    with caplog.at_level(logging.INFO, logger="prefect_fly.audit"):
        asyncio.run(run())
    assert len([record for record in caplog.records if record.levelno == logging.INFO]) == 12
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == ["could not write audit lines in the database, they are in the log: ConnectionRefusedError"]


def test_a_database_that_hangs_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is answered while the database is silent, and the end waits for it only so long."""
    monkeypatch.setattr(audit_module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(audit_module, "GOODBYE_SECONDS", 0.05)

    async def run() -> None:
        rows, inner = Rows(), Inner()
        rows.hangs = True
        gate = make_gate(inner, adam="adam-key")
        gate.audit = Audit(rows, 30)
        async with asyncio.timeout(30), gate.audit.keeping():
            await send(gate, "adam", "DELETE", f"/api/flows/{ID}")
            assert len(inner.seen) == 1
        assert gate.audit.not_kept == 1

    asyncio.run(run())


def test_the_page() -> None:
    """Lines with times in UTC and a place to go on from; without a table one sentence says what to set."""

    async def run() -> None:
        audit = Audit(Rows(), 30, clock=lambda: 1_800_000_000.25)
        for number in range(3):
            note(audit, number)
        status, body = await audit.answer(b"limit=2")
        assert status == 200
        assert isinstance(body, dict)
        assert [line["object"] for line in body["lines"]] == ["run-2", "run-1"]
        assert body["lines"][0]["at"] == "2027-01-15T08:00:00.250Z"
        assert (body["next"], body["keep_days"], body["not_kept"]) == (2, 30, 0)
        assert (await audit.answer(b"lgin=anna"))[0] == 400
        status, body = await Audit().answer(b"")
        assert status == 404
        assert isinstance(body, dict)
        assert "set prefect-fly:audit.keepDays" in body["detail"]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (b"since=yesterday", '"since" must be a time with its zone'),
        (b"since=2027-01-01T00:00:00", '"since" must be a time with its zone'),
        (b"limit=0", '"limit" must be a whole number above 0'),
        (b"before=-1", '"before" must be'),
        (b"before=" + b"9" * 30, '"before" must be'),
        (b"who=anna", '"who" is not known here'),
    ],
)
def test_a_question_that_cannot_be_answered(query: bytes, says: str) -> None:
    """Each mistake has its sentence."""
    with pytest.raises(ValueError, match=says):
        read_question(query)


def test_a_question() -> None:
    """Names may stand several times; a page has a most."""
    asked = read_question(b"login=anna&login=otto&without=orchestrator&since=2027-01-01T00:00:00Z&before=7&limit=99999")
    assert asked == Question(
        logins=["anna", "otto"], without=["orchestrator"], since=1_798_761_600.0, before=7, limit=1000
    )
