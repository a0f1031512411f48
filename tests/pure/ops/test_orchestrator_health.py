from __future__ import annotations

from typing import Any

import pytest
import requests

from clients.endpoints import World, WrongWorldError
from ops.orchestrator_health import HealthEndpoint, Reading, component_status
from tests.support.scripted_http import ScriptedSession, answer


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"components": {"prefect": "healthy"}}, "healthy"),
        ({"components": {"prefect": {"status": "not_configured", "since": 1}}}, "not_configured"),
        ({"components": {"prefect": None}}, ""),
        ({"components": {"prefect": {"state": "healthy"}}}, ""),
        ({"components": ["prefect"]}, ""),
        ({"status": "healthy"}, ""),
        (["healthy"], ""),
        (None, ""),
    ],
)
def test_the_component_is_a_string_or_an_object_with_status(body: Any, status: str) -> None:
    """Both shapes that orchestrators use are read; anything else is no status, and no exception."""
    assert component_status(body) == status


@pytest.mark.parametrize(
    ("step", "reading"),
    [
        (answer(503, {"components": {"prefect": "unhealthy"}}), Reading(prefect="unhealthy", said='"unhealthy"')),
        (answer(404), Reading(said="HTTP 404", gone=True)),
        (answer(502), Reading(said="HTTP 502")),
        (requests.ReadTimeout(), Reading(said="no answer within 20 s")),
        (requests.ConnectTimeout(), Reading(said="the connection timed out", gone=True)),
        (
            answer(200, {"ok": True}),
            Reading(said="HTTP 200 without components.prefect in a JSON object", foreign=True),
        ),
    ],
)
def test_every_answer_is_a_reading(step: requests.Response | Exception, reading: Reading) -> None:
    """No answer raises: it is a status, gone, foreign, or plain trouble."""
    session = ScriptedSession(step)
    assert HealthEndpoint("http://127.0.0.1:8080/health?full=1", World.SANDBOX, session).read() == reading
    assert [sent.url for sent in session.sent] == ["http://127.0.0.1:8080/health?full=1"]


def test_the_other_worlds_address_is_refused() -> None:
    """A sandbox stack never reads a health endpoint that is not on this machine."""
    with pytest.raises(WrongWorldError, match="the orchestrator's health URL"):
        HealthEndpoint("https://captionacc-orchestrator.fly.dev/health", World.SANDBOX)
