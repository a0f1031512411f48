"""One real server behind the sandbox's edge, everything that uses it, and updates of its machine."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.fly.addresses import Kind
from components.machine_config import MachineSettings, api_machine
from providers.fly_machine import FlyMachineProvider
from sandbox.images import process_image_reference
from sandbox.testing import Sandbox
from settings.database import connection_budget
from settings.groups import AuditSettings, DatabaseSettings, RetentionSettings, VmSettings
from tests.support.dynamic_engine import EngineSide
from tests.support.fly_world import ORG, OWNER, client_of
from tests.support.load import Load
from tests.support.prefect_server import database_environment, hashed, plain_environment, run_verb
from tests.support.waiting import PATIENCE, until
from toolchain.prefect_env import prefect_python

APP = "update-prefect"
KEY = "key-of-the-orchestrator"
CLIENT = Path(__file__).resolve().parents[1] / "image" / "clients" / "through_an_update.py"

_AFTER = """
WITH own AS (SELECT id FROM prefect.events WHERE resource_id = '{thing}'),
followed AS (
    SELECT event_id FROM prefect.event_resources WHERE resource_id IN (SELECT 'prefect.event.' || id FROM own)
)
SELECT event || coalesce(': ' || (payload->>'reason'), '') FROM prefect.events
WHERE id IN (SELECT id FROM own UNION SELECT event_id FROM followed) ORDER BY occurred
"""


def load_of(url: str) -> Load:
    """Ask the server at an address for its version all the time, with a key; answers count by status."""
    headers = {"Authorization": f"Bearer {KEY}"}
    return Load(f"{url}/api/admin/version", headers=headers, read=lambda answer: str(answer.status_code))


@dataclass
class Updating:
    """A server on one machine, and what changes it."""

    sandbox: Sandbox
    home: Path
    machine: EngineSide
    inputs: dict[str, Any]

    @property
    def url(self) -> str:
        """Public address of the server."""
        return self.sandbox.edge_url(APP)

    def update(self, strategy: str, *, memory: int = 0, env: str = "", secret: str = "") -> float:
        """Change the machine's size, environment or secrets, and return the seconds that it took."""
        config = dict(self.inputs["config"])
        if memory:
            config["guest"] = config["guest"] | {"memory_mb": memory}
        if env:
            config["env"] = config["env"] | {"UPDATE": env}
        changes: dict[str, Any] = {"config": config, "strategy": strategy}
        if secret:
            version = client_of(self.sandbox).secrets.write(APP, {"SOMETHING": secret}).version
            changes |= {"min_secrets_version": version, "secrets_fingerprint": secret}
        self.inputs |= changes
        began = time.monotonic()
        assert self.machine.up(self.inputs) == "update"
        return time.monotonic() - began

    def move(self, region: str) -> float:
        """Change the region, which makes another resource and then removes this one; return the seconds it took."""
        self.inputs |= {"name": f"{APP}-{region}-1", "region": region}
        began = time.monotonic()
        moved = EngineSide(FlyMachineProvider).create(self.inputs)
        self.machine.delete()
        self.machine = moved
        return time.monotonic() - began

    def sql(self, question: str) -> list[list[str]]:
        """Ask the server's database; rows of text."""
        said = self.sandbox.postgres.execute(question)
        return [line.split("|") for line in said.splitlines()]

    def states(self) -> dict[str, int]:
        """Count the states that flow runs ever had, by name."""
        question = "SELECT name || '|' || count(*) FROM prefect.flow_run_state GROUP BY name"
        return {name: int(count) for name, count in self.sql(question)}

    def after(self, thing: str) -> list[str]:
        """Name the events of one thing that was emitted and what followed from them; with the reason of what failed."""
        return ["|".join(row) for row in self.sql(_AFTER.replace("{thing}", thing))]

    def fired_twice(self) -> int:
        """Count the firings of the proactive automation that came at the time of the one before."""
        ((count,),) = self.sql(
            "SELECT count(*) FROM (SELECT occurred - lag(occurred) OVER (ORDER BY occurred) AS gap FROM prefect.events "
            "JOIN prefect.automation ON resource_id = 'prefect.automation.' || automation.id "
            "WHERE event = 'prefect.automation.triggered' AND automation.name = 'silence') AS fired "
            "WHERE gap < interval '1 second'"
        )
        return int(count)

    def scheduled_twice(self) -> int:
        """Count the scheduled times for which a deployment has more than one run."""
        ((count,),) = self.sql(
            "SELECT count(*) FROM (SELECT 1 FROM prefect.flow_run WHERE auto_scheduled AND deployment_id IS NOT NULL "
            "GROUP BY deployment_id, expected_start_time HAVING count(*) > 1) AS twice"
        )
        return int(count)


@contextmanager
def updating(sandbox: Sandbox, home: Path) -> Iterator[Updating]:
    """Deploy the server, with its database migrated."""
    client = client_of(sandbox)
    client.apps.create(APP, ORG)
    client.addresses.allocate(APP, Kind.V6)
    database = database_environment(sandbox.postgres.url())
    home.mkdir(parents=True, exist_ok=True)
    done = run_verb("migrate", home, database | {"PREFECT_FLY_DATABASE_REQUIRE_TLS": "true"})
    assert done.returncode == 0, done.stdout + done.stderr
    version = client.secrets.write(APP, database | {"PREFECT_FLY_API_KEYS": hashed({"orchestrator": KEY})}).version
    config = api_machine(machine_settings(), process_image_reference("registry.fly.io", APP))
    # On a busy computer an answer may take longer than a check waits on Fly: that is not what is looked at here.
    config["services"][0]["checks"][0]["timeout"] = "60s"
    inputs: dict[str, Any] = {
        "app": APP,
        "name": f"{APP}-ewr-1",
        "region": "ewr",
        "config": config,
        "owner": OWNER,
        "endpoints": "sandbox",
        "min_secrets_version": version,
        "secrets_fingerprint": "first",
        "healthy_timeout": 300,
        "strategy": "bluegreen",
        "url": sandbox.edge_url(APP),
    }
    yield Updating(sandbox, home, EngineSide(FlyMachineProvider).create(inputs), inputs)


@contextmanager
def users(world: Updating) -> Iterator[dict[str, Any]]:
    """Let everything use the server; the yielded mapping is filled with what they saw when this ends."""
    environ = plain_environment(world.home) | {
        "PREFECT_API_URL": f"{world.url}/api",
        "PREFECT_API_KEY": KEY,
        "PREFECT_API_AUTH_STRING": f"orchestrator:{KEY}",
        "PREFECT_HOME": str(world.home / "client"),
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "DO_NOT_TRACK": "1",
    }
    seen: dict[str, Any] = {}
    with (world.home / "users.log").open("wb") as log:
        program = subprocess.Popen(
            [prefect_python(), CLIENT],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert program.stdout is not None
            assert any(line.strip() == "ready" for line in program.stdout), (world.home / "users.log").read_text()
            yield seen
            said = program.communicate("over\n", timeout=PATIENCE)[0].strip().splitlines()
            assert program.returncode == 0, (world.home / "users.log").read_text()[-3000:]
            seen |= json.loads(said[-1])
        finally:
            program.kill()
            program.wait()


def serving(world: Updating) -> None:
    """Return when the server's name leads to it."""
    until(lambda: world.sandbox.fly.edge.is_open(APP))


def machine_settings() -> MachineSettings:
    """Return what a machine of a small stack is made of."""
    return MachineSettings(
        vm=VmSettings(),
        region="ewr",
        database=DatabaseSettings(),
        retention=RetentionSettings(),
        audit=AuditSettings(),
        separate_services=False,
        connections=connection_budget("nano", 1),
    )
