"""Every kind of alert, heard by a real server on Postgres: once for what is wrong, and not for what is well."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from clients.endpoints import World
from clients.names import ALERT_TEST_EVENT
from clients.prefect_api.client import PrefectApi
from components.alert_messages import Message, message_of, trial_message
from providers.prefect_automation import AutomationProvider
from sandbox.postgres import PostgresServer
from settings.alert_channels import block_of
from settings.server_groups import ChannelSettings, Heard
from tests.image.conftest import KEYS
from tests.support.beside import beside
from tests.support.prefect_server import Program, database_environment, hashed, running
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import until

pytestmark = [pytest.mark.prefect, pytest.mark.long]

HEARD: tuple[Heard, ...] = (
    "failed",
    "crashed",
    "late",
    "stuck",
    "deployment-not-ready",
    "work-pool-not-ready",
    "silent",
)
CHANNEL = ChannelSettings(kind="webhook", hears=HEARD)
MARK = "prefect-fly-0123456789ab"
# What takes minutes in production; the triggers are as the stack writes them, with their shortest time.
QUICK = {
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "1",
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": "5",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": "2",
    "PREFECT_SERVER_SERVICES_FOREMAN_INACTIVITY_HEARTBEAT_MULTIPLE": "1",
    "PREFECT_SERVER_SERVICES_FOREMAN_DEPLOYMENT_LAST_POLLED_TIMEOUT_SECONDS": "30",
    "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
}


@dataclass
class People:
    """Whoever uses the server: they make runs, deployments and pools, and hear its messages."""

    api_url: str
    receiver: Receiver
    sql: Callable[[str], str]

    @property
    def ours(self) -> PrefectApi:
        """The stack's client."""
        return PrefectApi.at(self.api_url, f"admin:{KEYS['admin']}", World.SANDBOX)

    def call(self, method: str, path: str, body: object | None = None) -> Any:
        """Make one call and return the decoded reply."""
        auth = ("admin", KEYS["admin"])
        reply = requests.request(method, f"{self.api_url}{path}", json=body, auth=auth, timeout=600)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def run(self, name: str, *states: dict[str, Any]) -> str:
        """Make a run of flow `work`, take it through these states and return its id."""
        flow = self.call("POST", "/flows/", {"name": "work"})["id"]
        first, *others = states
        made = self.call("POST", "/flow_runs/", {"flow_id": flow, "name": name, "state": first})["id"]
        for state in others:
            self.call("POST", f"/flow_runs/{made}/set_state", {"state": state, "force": True})
        return str(made)

    def due_long_ago(self, run: str) -> None:
        """Let what waits for a run's next state have been due 50 minutes ago, as after so long without a server."""
        waiting = f"FROM prefect.automation_bucket WHERE bucketing_key::text LIKE '%{run}%'"
        until(lambda: self.sql(f"SELECT count(*) {waiting}") == "1")
        ago = "interval '50 minutes'"
        self.sql(
            f'UPDATE prefect.automation_bucket SET start = start - {ago}, "end" = "end" - {ago} '  # noqa: S608
            f"WHERE id IN (SELECT id {waiting})"
        )

    def deployment(self, name: str) -> Callable[[], None]:
        """Make a deployment and return what polls for it."""
        flow = self.call("POST", "/flows/", {"name": "work"})["id"]
        body = {"deployment_ids": [self.call("POST", "/deployments/", {"flow_id": flow, "name": name})["id"]]}
        return lambda: self.call("POST", "/deployments/get_scheduled_flow_runs", body)

    def heartbeat(self, pool: str, every: int) -> None:
        """Let a worker of the pool be seen, which promises to come again after so many seconds."""
        body = {"name": "a-worker", "heartbeat_interval_seconds": every}
        self.call("POST", f"/work_pools/{pool}/workers/heartbeat", body)

    def subjects(self) -> Counter[str]:
        """What was said so far, without the test's own messages."""
        said = [str(message["subject"]) for message in self.receiver.messages]
        return Counter(subject for subject in said if not subject.startswith("Test of"))

    def wait_for(self, subject: str) -> None:
        """Return when it was said."""
        self.receiver.wait_for(lambda message: message["subject"] == subject)

    def listen(self) -> None:
        """Make channel and automations as a stack does, and wait until the server hears with the last of them."""
        block = block_of("ops", CHANNEL, self.receiver.url)
        document = self.ours.blocks.create(block.slug, f"{MARK}-ops-webhook", block.data)["id"]
        messages = [message_of(heard, ui_url="", stuck_minutes=1, silent_minutes=1) for heard in HEARD]
        for message in [*messages, trial_message("last", "last", "test")]:
            self._automation(message, document)
        self.until_heard("last")

    def until_heard(self, resource: str) -> None:
        """Send the event that a trial hears until its message comes."""
        subject = f"Test of alert channel {resource}"

        def heard() -> bool:
            self.ours.events.send(ALERT_TEST_EVENT, resource)
            return any(message["subject"] == subject for message in self.receiver.messages)

        until(heard, lambda: self.receiver.messages, every=1.0)

    def _automation(self, message: Message, block: str) -> None:
        props = {
            "name": message.title,
            "description": MARK,
            "enabled": True,
            "trigger": dict(message.trigger),
            "subject": message.subject,
            "body": message.body,
            "block_id": block,
        }
        AutomationProvider().make(self.ours, props)


@pytest.fixture(scope="module")
def people(
    postgres: PostgresServer, migrated_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[People]:
    """A server of this module's own that looks often, and who listens to it."""
    url = migrated_database()
    environ = database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed(KEYS)} | QUICK
    program = Program(tmp_path_factory.mktemp("alerts"), environ)
    with receiving("/hooks/all") as receiver, running(program):
        yield People(program.api_url, receiver, lambda sql: postgres.execute(sql, urlsplit(url).path.removeprefix("/")))


@contextmanager
def kept_up(poll: Callable[[], None]) -> Iterator[None]:
    """Poll again and again, as a process that serves a deployment does."""

    def polling(ended: threading.Event) -> None:
        while not ended.wait(1.0):
            poll()

    with beside(polling):
        yield


def state(kind: str, **more: object) -> dict[str, Any]:
    return {"type": kind, **more}


def scheduled(minutes: int) -> dict[str, Any]:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    return state("SCHEDULED", state_details={"scheduled_time": at.isoformat()})


def test_each_kind_of_alert_is_heard_once_and_of_what_is_wrong_alone(people: People) -> None:
    """Failed, crashed, late, stuck (also when it was due in an outage), not ready, silent; each beside a good one."""
    for pool in ("lost", "kept"):
        people.call("POST", "/work_pools/", {"name": pool, "type": "process"})
        people.heartbeat(pool, every=3600)
    polls = {name: people.deployment(name) for name in ("served", "back", "gone")}
    for poll in polls.values():
        poll()
    with kept_up(polls["served"]):
        people.listen()
        # The good ones first, so that their time is over when that of the bad ones is.
        people.run("good", state("PENDING"), state("RUNNING"), state("COMPLETED"))
        people.run("later", scheduled(60))
        people.run("hung", state("PENDING"), state("RUNNING"))
        people.due_long_ago(people.run("forgotten", state("PENDING")))
        people.run("bad", state("RUNNING"), state("FAILED", name="TimedOut", message="no luck"))
        people.run("lost", state("RUNNING"), state("CRASHED"))
        people.run("slow", scheduled(-60))
        people.heartbeat("lost", every=1)
        people.wait_for("Deployment back is not ready")
        polls["back"]()
        with kept_up(polls["back"]):
            wrong = [
                "Flow run bad of work failed",
                "Flow run lost of work crashed",
                "Flow run slow of work is late",
                "Flow run hung of work is stuck",
                "Flow run forgotten of work is stuck",
                "Deployment back is not ready",
                "Deployment gone is not ready",
                "Work pool lost is not ready",
                "Nobody has polled for deployment gone for a minute",
            ]
            for subject in wrong:
                people.wait_for(subject)
    # An event that comes after all of them has been heard, so nothing of theirs is on its way.
    people.run("last", state("RUNNING"), state("FAILED"))
    people.wait_for("Flow run last of work failed")
    assert people.subjects() == Counter([*wrong, "Flow run last of work failed"])
