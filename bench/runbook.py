"""The manual runbook as a script: what people did by hand, one call after the other, with the waits that `up` has.

It asks nothing before, marks nothing as its own and proves nothing beyond the runbook's last line. It sets what the
gate needs instead of creating a key, because a self-hosted server has none.
"""

from __future__ import annotations

import base64
from typing import Any

import requests
from nacl.public import PublicKey, SealedBox

from components.machine_config import api_machine
from sandbox.captionacc import ORCHESTRATOR, ORGANISATION, REPOSITORY, SERVER, WORKFLOW
from sandbox.images import process_image_reference
from sandbox.testing import Sandbox
from tests.support.prefect_server import hashed
from tests.support.update_world import machine_settings
from tests.support.waiting import until

_LOOK_EVERY_SECONDS = 0.25
_IMAGE = process_image_reference("registry.fly.io", SERVER)
_KEY = "a-key-made-by-hand"


class Runbook:
    """The runbook, on a sandbox with light stand-ins."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._environ = sandbox.env()
        self._server, self._orchestrator = sandbox.edge_url(SERVER), sandbox.edge_url(ORCHESTRATOR)
        self._session = requests.Session()
        self._session.trust_env = False

    def follow(self) -> None:
        """Do all of it; return when the orchestrator says that it is healthy."""
        self._fly("POST", "", {"name": SERVER, "org_slug": ORGANISATION})
        for kind in ("shared_v4", "v6"):
            self._fly("POST", f"/{SERVER}/ip_assignments", {"type": kind})
        values = {"PREFECT_FLY_API_KEYS": hashed({"orchestrator": _KEY})}
        version = self._fly("POST", f"/{SERVER}/secrets", {"values": values})["version"]
        self._migrate(version)
        self._serve(version)
        monitor = {"url": f"{self._server}/api/ready", "monitor_type": "status", "check_frequency": 180}
        self._call("BETTERSTACK_BASE_URL", "BETTERSTACK_API_TOKEN", "POST", "/api/v2/monitors", monitor)
        wiring = {
            "PREFECT_API_URL": f"{self._server}/api",
            "PREFECT_API_KEY": _KEY,
            "PREFECT_API_AUTH_STRING": f"orchestrator:{_KEY}",
        }
        self._fly("POST", f"/{ORCHESTRATOR}/secrets", {"values": wiring})
        self._tell_github(wiring)
        self._redeploy()
        until(lambda: self._health() == "healthy", every=_LOOK_EVERY_SECONDS)

    def _migrate(self, version: int) -> None:
        config = {
            "image": _IMAGE,
            "init": {"cmd": ["migrate"]},
            "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 1024},
            "restart": {"policy": "no"},
            "auto_destroy": True,
        }
        body = {"name": "migrate", "region": "ewr", "config": config, "min_secrets_version": version}
        machine = self._fly("POST", f"/{SERVER}/machines", body)
        self._fly("GET", f"/{SERVER}/machines/{machine['id']}/wait?state=destroyed&timeout=60")

    def _serve(self, version: int) -> None:
        config = api_machine(machine_settings(), _IMAGE)
        body = {"name": "web", "region": "ewr", "config": config, "min_secrets_version": version}
        machine = self._fly("POST", f"/{SERVER}/machines", body)
        path = f"/{SERVER}/machines/{machine['id']}"
        self._fly("GET", f"{path}/wait?state=started&timeout=60&version={machine['instance_id']}")

        def healthy() -> bool:
            checks = self._fly("GET", path)["checks"]
            return bool(checks) and all(check["status"] == "passing" for check in checks)

        until(healthy, every=_LOOK_EVERY_SECONDS)

    def _tell_github(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            key = self._github("GET", "/actions/secrets/public-key")
            box = SealedBox(PublicKey(base64.b64decode(key["key"])))
            sealed = base64.b64encode(box.encrypt(value.encode())).decode()
            self._github("PUT", f"/actions/secrets/{name}", {"encrypted_value": sealed, "key_id": key["key_id"]})

    def _redeploy(self) -> None:
        runs = f"/actions/workflows/{WORKFLOW}/runs"
        self._github("POST", f"/actions/workflows/{WORKFLOW}/dispatches", {"ref": "main"})

        def over() -> bool:
            found = self._github("GET", runs)["workflow_runs"]
            return bool(found) and found[0]["conclusion"] == "success"

        until(over, every=_LOOK_EVERY_SECONDS)

    def _health(self) -> str:
        reply = self._session.get(f"{self._orchestrator}/health", timeout=60)
        return str(reply.json()["components"]["prefect"]) if reply.ok else ""

    def _fly(self, method: str, path: str, body: object = None) -> Any:
        return self._call("FLY_FLAPS_BASE_URL", "FLY_API_TOKEN", method, f"/v1/apps{path}", body)

    def _github(self, method: str, path: str, body: object = None) -> Any:
        return self._call("GITHUB_API_URL", "GITHUB_TOKEN", method, f"/repos/{REPOSITORY}{path}", body)

    def _call(self, base: str, token: str, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self._environ[token]}"}
        reply = self._session.request(method, self._environ[base] + path, json=body, headers=headers, timeout=70)
        reply.raise_for_status()
        return reply.json() if reply.content else None
