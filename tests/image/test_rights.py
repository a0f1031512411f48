"""Viewers and operators on the real server: every route of Prefect's own schema, a run, blocks, websockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import requests
from prefect_server.permission import Kind, Match, Routes

from tests.image.conftest import KEYS, PEOPLE
from tests.support.prefect_server import Program

pytestmark = pytest.mark.prefect

PARAMETERS = {"{view}": "aggregate-worker-metadata", "{countable}": "day"}


def call(server: Program, key: str, method: str, path: str, body: object = None) -> requests.Response:
    """Send one request to the API with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return requests.request(method, server.api_url + path, headers=headers, json=body, timeout=600)


def made(server: Program, path: str, body: object, key: str = KEYS["admin"]) -> dict[str, Any]:
    """Make an object and return it."""
    reply = call(server, key, "POST", path, body)
    assert reply.ok, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.fixture(scope="module")
def schema(server: Program) -> list[tuple[str, str, Match]]:
    """Every operation of the server's own schema: method, a path with its parameters filled in, the route we know."""
    paths = call(server, KEYS["admin"], "GET", "/openapi.json").json()["paths"]
    known = Routes()
    operations = []
    for template, methods in paths.items():
        path = template
        for parameter, value in PARAMETERS.items():
            path = path.replace(parameter, value)
        path = "".join(part if index % 2 == 0 else str(uuid4()) for index, part in enumerate(_parts(path)))
        operations += [(each.upper(), path, known.find(each.upper(), f"/api{path}")) for each in methods]
    return operations


def _parts(path: str) -> list[str]:
    return path.replace("}", "{").split("{")


def test_every_route_of_the_schema_is_classified(server: Program, schema: list[tuple[str, str, Match]]) -> None:
    """Nothing in the schema is unknown, nothing known is missing in it, and the server itself found nothing odd."""
    assert len(schema) > 150
    assert [f"{method} {path}" for method, path, match in schema if match.route is None] == []
    in_schema = {(match.route.method, match.route.template) for _, _, match in schema if match.route}
    hidden = (
        "/api/docs",
        "/api/redoc",
        "/api/openapi.json",
        "/api/static/",
        "/api/automations/templates/",
        "/api/ready",
    )
    stale = {(each.method, each.template) for each in Routes().all} - in_schema
    assert sorted(each for each in stale if not each[1].startswith(hidden)) == []
    assert "routes.py does not have" not in server.log


def test_a_viewer_changes_nothing(server: Program, schema: list[tuple[str, str, Match]]) -> None:
    """Each operation that is no read is refused with a sentence, before Prefect sees it; no read is refused."""
    for method, path, match in schema:
        reply = call(server, PEOPLE["viewer"], method, path, None if method == "GET" else {})
        assert match.route
        if match.route.kind is Kind.READ:
            assert reply.status_code not in {401, 403}, f"{method} {path}"
        else:
            assert reply.status_code == 403, f"{method} {path}"
            assert reply.json()["detail"].startswith('"viewer" is a viewer and may look at everything')


def test_an_operator_runs_and_cancels(server: Program) -> None:
    """A run is started and cancelled and a deployment paused by an operator; a viewer sees it all and does none."""
    flow = made(server, "/flows/", {"name": f"flow-{uuid4()}"}, KEYS["orchestrator"])
    deployment = made(server, "/deployments/", {"name": "here", "flow_id": flow["id"]}, KEYS["orchestrator"])
    create = f"/deployments/{deployment['id']}/create_flow_run"
    assert call(server, PEOPLE["viewer"], "POST", create, {}).status_code == 403
    run = made(server, create, {}, PEOPLE["operator"])
    state = f"/flow_runs/{run['id']}/set_state"
    cancelling = {"state": {"type": "CANCELLED"}}
    assert call(server, PEOPLE["viewer"], "POST", state, cancelling).status_code == 403
    read = call(server, PEOPLE["viewer"], "GET", f"/flow_runs/{run['id']}")
    assert read.json()["state_type"] == "SCHEDULED"
    assert call(server, PEOPLE["operator"], "POST", state, cancelling).json()["status"] == "ACCEPT"
    wanted = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    found = call(server, PEOPLE["viewer"], "POST", "/flow_runs/filter", wanted).json()
    assert [each["state_type"] for each in found] == ["CANCELLED"]
    path = f"/deployments/{deployment['id']}"
    assert call(server, PEOPLE["operator"], "PATCH", path, {"paused": True}).status_code == 204
    assert call(server, PEOPLE["operator"], "PATCH", path, {"paused": False, "tags": ["x"]}).status_code == 403
    now = call(server, PEOPLE["viewer"], "GET", path).json()
    assert (now["paused"], now["tags"]) == (True, [])
    assert call(server, PEOPLE["operator"], "DELETE", path).status_code == 403
    assert call(server, KEYS["admin"], "DELETE", path).status_code == 204


def test_only_admins_read_secrets(server: Program) -> None:
    """A block's secret is masked for a viewer and an operator, who are refused when they ask for it."""
    kind = call(server, KEYS["admin"], "GET", "/block_types/slug/secret").json()
    schemas = call(
        server,
        KEYS["admin"],
        "POST",
        "/block_schemas/filter",
        {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}},
    )
    block = made(
        server,
        "/block_documents/",
        {
            "name": f"secret-{uuid4()}",
            "data": {"value": "the-canary"},
            "block_type_id": kind["id"],
            "block_schema_id": schemas.json()[0]["id"],
        },
    )
    path, everything = f"/block_documents/{block['id']}", {"include_secrets": True}
    for key in (PEOPLE["viewer"], PEOPLE["operator"]):
        masked = [call(server, key, "GET", path), call(server, key, "POST", "/block_documents/filter", {})]
        assert all(reply.ok and "********" in reply.text for reply in masked)
        refused = [
            call(server, key, "GET", f"{path}?include_secrets=true"),
            call(server, key, "GET", "/block_types/slug/secret/block_documents?include_secrets=true"),
            call(server, key, "POST", "/block_documents/filter", everything),
        ]
        assert [reply.status_code for reply in refused] == [403, 403, 403]
        assert "the-canary" not in "".join(reply.text for reply in masked + refused)
    assert "the-canary" in call(server, KEYS["admin"], "POST", "/block_documents/filter", everything).text


def test_websockets_have_rights(server: Program) -> None:
    """A viewer reads events and logs; sending events and taking work is closed with the reason."""

    async def talk(path: str, key: str) -> tuple[object, object]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server.api_url + path, protocols=["prefect"]) as opened,
        ):
            await opened.send_json({"type": "auth", "token": key})
            message = await opened.receive(timeout=600)
            return (
                (opened.close_code, message.extra) if message.type is aiohttp.WSMsgType.CLOSE else (0, message.json())
            )

    for path in ("/events/out", "/logs/out"):
        assert asyncio.run(talk(path, PEOPLE["viewer"])) == (0, {"type": "auth_success"})
    for path in ("/events/in", "/task_runs/subscriptions/scheduled", "/work_pools/pool/workers/connect"):
        for name in ("viewer", "operator"):
            code, reason = asyncio.run(talk(path, PEOPLE[name]))
            assert (code, reason) == (1008, f'"{name}" may not use this websocket: it needs admin rights')


def test_an_old_login_is_refused_and_told_so(server: Program) -> None:
    """An expired key opens nothing; its holder and the counters are told that it is old."""
    reply = call(server, PEOPLE["operator-left"], "GET", "/admin/version")
    assert reply.status_code == 401
    assert 'The key "operator-left" expired at 2020-01-31T00:00:00Z' in reply.json()["exception_message"]
    keys = requests.get(f"{server.url}/gate/keys", headers={"Authorization": f"Bearer {KEYS['admin']}"}, timeout=600)
    assert keys.json()["keys"]["operator-left"]["expired"] >= 1


def test_whoever_has_a_key_learns_who_they_are(server: Program) -> None:
    """GET /gate/whoami says name and rights; the counters are not a viewer's."""
    headers = {"Authorization": f"Bearer {PEOPLE['viewer']}"}
    who = requests.get(f"{server.url}/gate/whoami", headers=headers, timeout=600)
    assert json.loads(who.text) == {"name": "viewer", "rights": "viewer", "expires": None}
    assert requests.get(f"{server.url}/gate/keys", headers=headers, timeout=600).status_code == 403
