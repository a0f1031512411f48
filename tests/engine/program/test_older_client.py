"""The fourth secret, which only older Prefect clients are given: it comes and goes with the others."""

from __future__ import annotations

import pytest

from clients.names import CUSTOM_HEADERS
from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine

OLDER = {"clientVersion": "3.4.25"}


@pytest.mark.long
def test_the_header_comes_with_the_version_and_goes_with_it(deployment: Deployment) -> None:
    """On app and repository while a version is stated that needs it, gone without it, nowhere in plain text."""
    deployment.configure(orchestrator=OLDER)
    deployment.engine.up()
    assert CUSTOM_HEADERS in deployment.secret_names(captionacc.ORCHESTRATOR)
    assert deployment.github_secrets() >= {*deployment.ours, CUSTOM_HEADERS}
    assert deployment.engine.preview(expect_no_changes=True) == {}
    header = deployment.sandbox.github.secret("captionacc/captionacc", CUSTOM_HEADERS)
    assert header is not None
    assert header not in deployment.engine.state() + deployment.engine.text()
    deployment.configure()
    deployment.engine.up()
    assert CUSTOM_HEADERS not in deployment.secret_names(captionacc.ORCHESTRATOR) | deployment.github_secrets()
    assert deployment.prefect_health() == "healthy"


def test_detaching_removes_the_header(deployment: Deployment) -> None:
    """connected: false unsets all four names on the app and in the repository."""
    deployment.configure(orchestrator=OLDER)
    deployment.engine.up()
    deployment.configure(orchestrator={**OLDER, "connected": False})
    deployment.engine.up()
    left = deployment.secret_names(captionacc.ORCHESTRATOR) | deployment.github_secrets()
    assert not left & {*deployment.ours, CUSTOM_HEADERS}
    assert deployment.prefect_health() == "not_configured"
