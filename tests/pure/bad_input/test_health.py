"""Whatever a health endpoint answers is a reading that fits into a sentence, and only the agreed JSON is a status."""

from __future__ import annotations

import json

import pytest

from clients.endpoints import World
from ops.errors import OpsError
from ops.orchestrator_health import HEALTHY, NOT_CONFIGURED, HealthEndpoint, Reading
from ops.verify import _unhealthy
from tests.support.bad_replies import HEAVY, NO_ERROR, NO_SUCCESS, TOKEN, deep, of_json
from tests.support.scripted_http import ScriptedSession, answer
from tests.support.sentences import require_sentence

URL = "http://127.0.0.1:8080/health"


def read(reply: object) -> Reading:
    session = ScriptedSession(reply)  # type: ignore[arg-type]
    reading = HealthEndpoint(URL, World.SANDBOX, session).read()
    assert len(session.sent) == 1, "a verb polls by itself: nothing is retried below it"
    return reading


def require_no_status(reading: Reading) -> None:
    assert reading.prefect not in {HEALTHY, NOT_CONFIGURED}
    require_sentence(OpsError(_unhealthy(URL, reading)), [TOKEN])


@pytest.mark.parametrize("name", [*NO_SUCCESS, *NO_ERROR, *HEAVY])
def test_no_status_is_read_from_what_holds_none(name: str) -> None:
    """Pages, halves, other encodings, megabytes and depth are neither healthy nor detached."""
    require_no_status(read({**NO_SUCCESS, **NO_ERROR, **HEAVY}[name]))


BODIES: dict[str, object] = {
    "null": None,
    "no components": {"status": "healthy"},
    "components is null": {"components": None},
    "components is a text": {"components": "healthy"},
    "components is a list": {"components": [{"prefect": "healthy"}]},
    "prefect is null": {"components": {"prefect": None}},
    "prefect is true": {"components": {"prefect": True}},
    "prefect is a number": {"components": {"prefect": 1}},
    "prefect is a list": {"components": {"prefect": ["healthy"]}},
    "prefect is empty": {"components": {"prefect": ""}},
    "status is null": {"components": {"prefect": {"status": None}}},
    "status is an object": {"components": {"prefect": {"status": {"status": "healthy"}}}},
    "another spelling": {"components": {"prefect": "Healthy"}},
    "a longer word": {"components": {"prefect": "healthyish"}},
    "another key": {"components": {"Prefect": "healthy"}},
    "many lines": {"components": {"prefect": "bad\nworse\r\nworst"}},
    "megabytes": {"components": {"prefect": "unhealthy " * 300_000}},
    "a secret": {"components": {"prefect": f"cannot use Bearer {TOKEN}"}},
    "a lone surrogate": {"components": {"prefect": "\ud800"}},
    "terminal codes": {"components": {"prefect": "\x1b[2J\x1b]0;x\x07"}},
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("status", [200, 503])
def test_only_the_agreed_form_is_a_status(name: str, status: int) -> None:
    """Near misses are shown in a sentence as they are, cut short, and count for nothing."""
    reading = read(of_json(status, BODIES[name]))
    require_no_status(reading)
    assert len(reading.said) < 100
    assert reading.said.isprintable()


def test_depth_around_the_status_does_not_matter_until_it_cannot_be_read() -> None:
    """A deep neighbour of the status is read over; one that Python cannot read makes the whole unreadable."""
    body = b'{"components": {"prefect": "healthy", "other": %s}}'
    assert read(answer(200, body % deep(50))).prefect == HEALTHY
    assert read(answer(200, body % deep(100_000))).foreign
    twice = json.dumps({"components": {"prefect": "healthy"}})[:-1] + ', "components": {"prefect": "unhealthy"}}'
    assert read(answer(200, twice.encode())).prefect == "unhealthy"
