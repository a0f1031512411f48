"""The verb that proves an alert channel."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
import requests

from clients.endpoints import World
from clients.prefect_api.client import PrefectApi
from ops import send_test_alert
from ops.errors import OpsError
from tests.support.ops_runtime import Surroundings
from tests.support.scripted_http import FakeClock, ScriptedSession, answer

JSON = {"Content-Type": "application/json"}
NAME = "ops: test message (dev)"
ARGS = argparse.Namespace(api_url="https://p.test/api", automation=NAME, resource="prefect-fly-0.ops", timeout=60)
FOUND = answer(200, [{"id": "a1", "name": NAME}], JSON)
ACCEPTED = answer(204)


class Server(ScriptedSession):
    """Says of the newest event that was sent what `says` returns for it."""

    def __init__(self, payload: dict[str, Any] | None, *, after: int = 1) -> None:
        super().__init__()
        self._payload, self._after = payload, after
        self.events: list[str] = []

    def request(self, _method: str, url: str, **given: Any) -> requests.Response:  # type: ignore[override]
        """Answer by the route."""
        if url.endswith("/automations/filter"):
            return FOUND
        if url.endswith("/events"):
            assert given["json"][0]["resource"] == {"prefect.resource.id": ARGS.resource}
            self.events.append(given["json"][0]["id"])
            return ACCEPTED
        if self._payload is None or len(self.events) < self._after:
            return answer(200, {"events": []}, JSON)
        event = {
            "event": "prefect.automation.action.failed" if self._payload else "prefect.automation.action.executed",
            "related": [{"prefect.resource.id": f"prefect.event.{self.events[-1]}"}],
            "payload": self._payload,
        }
        foreign = {**event, "related": [{"prefect.resource.id": "prefect.event.before"}], "payload": {"reason": "old"}}
        return answer(200, {"events": [foreign, event]}, JSON)


def run(monkeypatch: pytest.MonkeyPatch, session: requests.Session, **environ: str) -> dict[str, object]:
    at = PrefectApi.at
    monkeypatch.setattr(PrefectApi, "at", lambda url, key, _world: at(url, key, World.REAL, session))
    rt = Surroundings(FakeClock(), environ=environ or {"PREFECT_FLY_SERVER_KEY": "pulumi:pf_x"}).rt
    return send_test_alert.run(ARGS, rt)


def test_a_message_that_was_taken_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """One event is enough when the server hears it; what an earlier event did does not count."""
    server = Server({})
    assert run(monkeypatch, server) == {"automation": NAME, "sent": True}
    assert len(server.events) == 1


def test_an_event_that_was_not_heard_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The automation may be too new for the services to know it."""
    server = Server({}, after=3)
    run(monkeypatch, server)
    assert len(server.events) == 3


def test_a_message_that_was_refused_fails_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the server's words, without what looks like a credential."""
    reason = {"reason": "Notification failed", "notification_log": "POST https://u:hunter2@h answered 404"}
    with pytest.raises(OpsError, match="was refused: Notification failed: POST") as caught:
        run(monkeypatch, Server(reason))
    assert "hunter2" not in str(caught.value)


def test_silence_fails_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence that names the automation and what to do."""
    with pytest.raises(OpsError, match=r'could not test alert "ops: test message \(dev\)": .* within 60 s'):
        run(monkeypatch, Server(None))


def test_a_missing_automation_or_key_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is sent."""
    with pytest.raises(OpsError, match="the server has none"):
        run(monkeypatch, ScriptedSession(answer(200, [], JSON)))
    with pytest.raises(OpsError, match='could not read variable "PREFECT_FLY_SERVER_KEY"'):
        run(monkeypatch, ScriptedSession(), OTHER="x")
