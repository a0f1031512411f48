"""An orchestrator that does not use the server fails `up`, whatever it says of itself."""

from __future__ import annotations

import pytest

from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine

SHORT = {"timeouts": {"healthy": 12, "redeploy": 30, "migrate": 60}}


@pytest.mark.parametrize(
    ("behaviour", "sentence"), [("stays-unhealthy", "unhealthy"), ("never-calls", "never saw it used")]
)
def test_an_orchestrator_that_does_not_use_the_server_fails_up(
    deployment: Deployment, behaviour: str, sentence: str
) -> None:
    """Its own word is not enough: the server must have seen its key. Fixed, the next `up` verifies again."""
    deployment.configure(**SHORT)
    deployment.behave(behaviour)
    text = deployment.up_fails()
    assert sentence in text
    deployment.behave(None)
    deployment.fixed()
