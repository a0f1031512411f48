"""What the sandbox says of itself: its status has a fixed shape, and the journal holds no secret."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import requests

from sandbox.captionacc import ORCHESTRATOR
from sandbox.testing import running_sandbox
from tests.sandbox.sandbox.world.runs import conclusion, dispatch

STATUS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["fly", "github", "betterstack", "orchestrator", "journal"],
    "properties": {
        "fly": {
            "type": "object",
            "required": ["apps"],
            "properties": {
                "apps": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["name", "machines", "ips", "secrets"],
                        "properties": {
                            "name": {"type": "string"},
                            "machines": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {"id": {}, "state": {}, "image": {}, "checks": {"type": "array"}},
                                    "required": ["id", "state", "image", "checks"],
                                },
                            },
                            "ips": {"type": "array", "items": {"type": "string"}},
                            "secrets": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "additionalProperties": False,
                                    "properties": {"name": {"type": "string"}, "digest": {"type": "string"}},
                                    "required": ["name", "digest"],
                                },
                            },
                        },
                    },
                }
            },
        },
        "github": {
            "type": "object",
            "required": ["secrets", "runs"],
            "properties": {
                "secrets": {"type": "array", "items": {"type": "string"}},
                "runs": {
                    "type": "array",
                    "items": {"type": "object", "required": ["id", "workflow", "status", "conclusion"]},
                },
            },
        },
        "betterstack": {
            "type": "object",
            "required": ["monitors"],
            "properties": {
                "monitors": {
                    "type": "array",
                    "items": {"type": "object", "required": ["url", "check_frequency", "status"]},
                }
            },
        },
        "orchestrator": {"type": "object", "required": ["health"]},
        "journal": {"type": "string"},
    },
}


def test_status_object(tmp_path: Path) -> None:
    """The status is exactly the object that tools rely on, and holds no value of any secret."""
    with running_sandbox(tmp_path) as sb:
        sb.fly.set_secrets(ORCHESTRATOR, {"PLANTED": "canary-value"})
        conclusion(sb, dispatch(sb))
        env = sb.env()
        requests.post(
            f"{env['BETTERSTACK_BASE_URL']}/api/v2/monitors",
            json={"url": "http://127.0.0.1:9/", "check_frequency": 180},
            headers={"Authorization": f"Bearer {env['BETTERSTACK_API_TOKEN']}"},
            timeout=600,
        ).raise_for_status()
        found = sb.status()
        jsonschema.validate(found, STATUS)
        assert [app["name"] for app in found["fly"]["apps"]] == [ORCHESTRATOR]
        assert found["github"]["secrets"] == ["SUPABASE_SERVICE_KEY"]
        assert found["github"]["runs"][0] | {"id": 0} == {
            "id": 0,
            "workflow": "deploy-orchestrator.yml",
            "status": "completed",
            "conclusion": "success",
        }
        assert found["betterstack"]["monitors"][0]["check_frequency"] == 180
        assert "PLANTED" in json.dumps(found)
        assert "canary-value" not in json.dumps(found)


def test_journal(tmp_path: Path) -> None:
    """The journal holds every call in order, in memory and as JSON lines, and neither tokens nor values."""
    with running_sandbox(tmp_path) as sb:
        env = sb.env()
        headers = {"Authorization": f"Bearer {env['FLY_API_TOKEN']}"}
        url = f"{env['FLY_FLAPS_BASE_URL']}/v1/apps/{ORCHESTRATOR}/secrets"
        requests.post(url, json={"values": {"A": "canary-value"}}, headers=headers, timeout=600).raise_for_status()
        dispatch(sb)
        calls = [(entry["service"], entry["method"], entry["status"]) for entry in sb.journal()]
        assert calls == [("fly", "POST", 200), ("github", "POST", 200)]
        text = Path(sb.status()["journal"]).read_text()
        assert [json.loads(line) for line in text.splitlines()] == sb.journal()
        for secret in ("canary-value", env["FLY_API_TOKEN"], env["GITHUB_TOKEN"]):
            assert secret not in text
