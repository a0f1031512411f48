"""The audit with the real server and a real Postgres: the table, the page, the log, and what an outage costs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests

from sandbox.postgres import PostgresServer
from tests.support.leaks import leaks
from tests.support.prefect_server import Program, database_environment, running
from tests.support.waiting import until

pytestmark = pytest.mark.prefect

KEYS = {"adam": "key-of-adam", "olga.2": "key-of-olga", "orchestrator": "key-of-the-orchestrator"}
CANARY = "canary-of-a-body"


@pytest.fixture(scope="module")
def database(migrated_database: Callable[[], str]) -> str:
    """A database of this module's own."""
    return migrated_database()


def sql(postgres: PostgresServer, database: str, text: str) -> str:
    """Run a statement in that database."""
    return postgres.execute(text, database=urlsplit(database).path.removeprefix("/"))


@pytest.fixture(scope="module")
def audited(database: str, postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that keeps the audit for a day, and finds a line that is two days old."""
    sql(
        postgres,
        database,
        "INSERT INTO prefect_fly.audit (at, login, rights, method, route, object, status, client) "
        "VALUES (now() - interval '2 days', 'gone', 'admin', 'DELETE', '/api/flows/{id}', '', 204, '')",
    )
    ring: dict[str, Any] = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in KEYS.items()}
    ring["olga.2"] = {"sha256": [ring["olga.2"]], "rights": "operator"}
    environ = database_environment(database) | {
        "PREFECT_FLY_API_KEYS": json.dumps(ring),
        "PREFECT_FLY_AUDIT_KEEP_DAYS": "1",
    }
    with running(Program(tmp_path_factory.mktemp("audited"), environ)) as program:
        yield program


def call(server: Program, name: str, method: str, path: str, body: object = None) -> requests.Response:
    """Send one request with that key."""
    headers = {"Authorization": f"Bearer {KEYS[name]}", "fly-client-ip": "192.0.2.7"}
    return requests.request(method, server.url + path, headers=headers, json=body, timeout=600)


def page(server: Program, query: str = "") -> dict[str, Any]:
    """What GET /gate/audit says."""
    reply = call(server, "adam", "GET", f"/gate/audit{query}")
    assert reply.ok, reply.text
    found: dict[str, Any] = reply.json()
    return found


def test_who_did_what(audited: Program, database: str) -> None:
    """Changes of each login stand in the table and in the log, newest first, no body and no key; pages go on."""
    flow = call(audited, "orchestrator", "POST", "/api/flows/", {"name": f"flow-{uuid4()}"}).json()
    deployment = {"name": "here", "flow_id": flow["id"], "description": CANARY}
    made = call(audited, "orchestrator", "POST", "/api/deployments/", deployment).json()
    path = f"/api/deployments/{made['id']}"
    run = call(audited, "olga.2", "POST", f"{path}/create_flow_run", {"parameters": {"p": CANARY}}).json()
    assert call(audited, "olga.2", "DELETE", path).status_code == 403
    assert call(audited, "adam", "DELETE", path).status_code == 204
    lines = page(audited)["lines"]
    assert [(line["login"], line["method"], line["route"], line["object"], line["status"]) for line in lines[:4]] == [
        ("adam", "DELETE", "/api/deployments/{id}", made["id"], 204),
        ("olga.2", "DELETE", "/api/deployments/{id}", made["id"], 403),
        ("olga.2", "POST", "/api/deployments/{id}/create_flow_run", made["id"], 201),
        ("orchestrator", "POST", "/api/deployments/", "", 201),
    ]
    assert {line["client"] for line in lines} == {"192.0.2.7"}
    assert {line["login"] for line in page(audited, "?login=olga")["lines"]} == {"olga.2"}
    assert "orchestrator" not in {line["login"] for line in page(audited, "?without=orchestrator")["lines"]}
    first = page(audited, "?limit=3")
    rest = page(audited, f"?limit=1000&before={first['next']}")
    assert [line["id"] for line in first["lines"] + rest["lines"]] == [line["id"] for line in page(audited)["lines"]]
    assert rest["next"] is None
    assert page(audited, "?since=2099-01-01T00:00:00Z")["lines"] == []
    assert (
        '"login": "olga.2", "rights": "operator", "method": "DELETE", "route": "/api/deployments/{id}"' in audited.log
    )
    told = audited.log + json.dumps(page(audited))
    secrets = {**KEYS, "a body": CANARY, "the database's password": str(urlsplit(database).password)}
    assert leaks(told, secrets) == set()
    assert leaks(told + "".join(secrets.values()), secrets) == set(secrets), "the control"
    assert run["id"]
    assert call(audited, "olga.2", "GET", "/gate/audit").status_code == 403


def test_old_lines_go_and_an_outage_costs_none(audited: Program, database: str, postgres: PostgresServer) -> None:
    """What is older than a day is removed; while the table is away the server serves, and lines wait for it."""
    until(lambda: not page(audited, "?login=gone")["lines"])
    sql(postgres, database, "ALTER TABLE prefect_fly.audit RENAME TO audit_away")
    created = call(audited, "adam", "POST", "/api/variables/", {"name": f"v_{uuid4().hex}", "value": CANARY})
    assert created.ok, created.text
    assert call(audited, "adam", "GET", "/gate/audit").status_code == 503
    sql(postgres, database, "ALTER TABLE prefect_fly.audit_away RENAME TO audit")
    assert page(audited)["lines"][0]["route"] == "/api/variables/"
    assert page(audited)["not_kept"] == 0
    assert "could not write audit lines in the database, they are in the log: ProgrammingError" in audited.log
