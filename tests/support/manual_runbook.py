"""The manual runbook, done on a sandbox with plain API calls, as people do it: what a stack may be asked to take over.

An app with addresses, the database's URL under the runbook's name of the secret, and the two machines that `fly deploy`
makes, each a stock Prefect server without authentication; its tables are in `public`. Then the orchestrator's URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from sandbox.captionacc import ORCHESTRATOR, ORGANISATION, SERVER
from sandbox.testing import Sandbox
from tests.support.waiting import until

SECRET = "PREFECT_API_DATABASE_CONNECTION_URL"
IMAGE = f"registry.fly.io/{SERVER}:deployment-01HAND"


@dataclass(frozen=True)
class ManualServer:
    """What the runbook leaves behind.

    Attributes:
        url: its public address.
        machines: ids of its two machines.
    """

    url: str
    machines: tuple[str, ...]

    def ask(self, path: str, body: dict[str, Any] | None = None, machine: str = "") -> Any:
        """POST to the server's API without any credentials, of one machine when given."""
        headers = {"fly-force-instance-id": machine} if machine else {}
        answer = requests.post(f"{self.url}/api/{path}", json=body or {}, headers=headers, timeout=600)
        answer.raise_for_status()
        return answer.json()

    def run_flow(self, name: str) -> str:
        """Leave a flow run in the history, and return its id."""
        flow = self.ask("flows/", {"name": name})
        run = self.ask("flow_runs/", {"flow_id": flow["id"], "state": {"type": "COMPLETED", "name": "Completed"}})
        return str(run["id"])


def follow(running: Sandbox) -> ManualServer:
    """Do the runbook's steps on a sandbox with processes and a Postgres; return when both machines are healthy."""
    fly = _Fly(running.env())
    fly.call("POST", "/v1/apps", {"name": SERVER, "org_slug": ORGANISATION})
    for kind in ("shared_v4", "v6"):
        fly.call("POST", f"/v1/apps/{SERVER}/ip_assignments", {"type": kind})
    url = running.postgres.url(scheme="postgresql+asyncpg")
    version = fly.call("POST", f"/v1/apps/{SERVER}/secrets", {"values": {SECRET: url}})["version"]
    machines = _deploy(fly, version)
    address = running.edge_url(SERVER)
    fly.call("POST", f"/v1/apps/{ORCHESTRATOR}/secrets", {"values": {"PREFECT_API_URL": f"{address}/api"}})
    return ManualServer(address, machines)


class _Fly:
    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def call(self, method: str, path: str, body: Any = None) -> Any:
        base = self._environ["FLY_API_BASE_URL" if path.startswith("/api/") else "FLY_FLAPS_BASE_URL"]
        headers = {"Authorization": f"Bearer {self._environ['FLY_API_TOKEN']}"}
        answer = requests.request(method, base + path, json=body, headers=headers, timeout=600)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def _deploy(fly: _Fly, version: int) -> tuple[str, ...]:
    """Do what `fly deploy` does: a release, and two machines one after the other."""
    body = {"app_name": SERVER, "image": IMAGE, "strategy": "ROLLING", "definition": {"app": SERVER}}
    release = fly.call("POST", "/api/v1/releases", body)["release"]
    made = []
    for name in ("winter-moon-12", "red-sun-3"):
        request = {"name": name, "region": "ewr", "config": _config(release["version"]), "min_secrets_version": version}
        machine = fly.call("POST", f"/v1/apps/{SERVER}/machines", request)["id"]
        _wait_healthy(fly, machine)
        made.append(machine)
    fly.call("PATCH", f"/api/v1/releases/{release['id']}", {"status": "complete"})
    return tuple(made)


def _config(release: int) -> dict[str, Any]:
    check = {"type": "http", "interval": "2s", "timeout": "2s", "grace_period": "60s", "path": "/api/health"}
    return {
        "image": IMAGE,
        "env": {"FLY_PROCESS_GROUP": "app", "PRIMARY_REGION": "ewr", "PREFECT_SERVER_API_PORT": "4200"},
        "init": {"cmd": ["prefect", "server", "start", "--no-services"]},
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 512},
        "metadata": {
            "fly_platform_version": "v2",
            "fly_process_group": "app",
            "fly_release_version": str(release),
        },
        "services": [
            {
                "protocol": "tcp",
                "internal_port": 4200,
                "autostop": "off",
                "ports": [{"port": 443, "handlers": ["tls", "http"], "force_https": True}],
                "checks": [check],
            }
        ],
    }


def _wait_healthy(fly: _Fly, machine: str) -> None:
    def said() -> list[str]:
        lines = fly.call("GET", f"/api/v1/apps/{SERVER}/logs?instance={machine}")["data"]
        return [line["attributes"]["message"] for line in lines][-20:]

    def healthy() -> bool:
        seen = fly.call("GET", f"/v1/apps/{SERVER}/machines/{machine}")
        assert seen["events"][0]["type"] != "exit", said()
        return bool(seen["checks"]) and all(check["status"] == "passing" for check in seen["checks"])

    until(healthy, said, every=0.5)
