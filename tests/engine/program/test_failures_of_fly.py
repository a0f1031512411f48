"""Names and tokens that Fly refuses: one clear sentence, and the next `up` after fixing goes through."""

from __future__ import annotations

import pytest
from pulumi import automation

from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine


def test_a_taken_app_name_asks_for_another(deployment: Deployment) -> None:
    """An app of that name in somebody else's organisation is neither adopted nor touched; another name goes through."""
    deployment.sandbox.fly.add_app("taken-name", "strangers")
    url = deployment.sandbox.edge_url("free-name")
    deployment.configure(fly={"app": "taken-name"})
    text = deployment.up_fails()
    assert 'app "taken-name"' in text
    assert "another name" in text
    deployment.configure(fly={"app": "free-name", "urlTemplate": url})
    deployment.fixed()
    assert "taken-name" in deployment.app_names()


def test_a_wrong_fly_token_is_said_before_anything_is_made(deployment: Deployment) -> None:
    """401 is a sentence about FLY_API_TOKEN; with the right token the same stack goes through."""
    right = deployment.sandbox.env()["FLY_API_TOKEN"]
    deployment.engine.environment(FLY_API_TOKEN="FlyV1 fm2_wrong")
    text = deployment.up_fails()
    assert "FLY_API_TOKEN" in text
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    deployment.engine.environment(FLY_API_TOKEN=right)
    deployment.fixed()


@pytest.mark.long
def test_a_token_of_another_organisation_proves_nothing_gone(deployment: Deployment) -> None:
    """With it, refresh and destroy fail instead of believing that things are gone, and the state keeps them."""
    deployment.engine.up()
    before = {item["urn"] for item in deployment.engine.resources()}
    stranger = deployment.sandbox.fly.state.add_token("strangers").value
    right = deployment.sandbox.env()["FLY_API_TOKEN"]
    deployment.engine.environment(FLY_API_TOKEN=stranger)
    with pytest.raises(automation.CommandError):
        deployment.engine.refresh()
    with pytest.raises(automation.CommandError):
        deployment.engine.destroy()
    assert {item["urn"] for item in deployment.engine.resources()} == before
    assert captionacc.SERVER in deployment.app_names()
    deployment.engine.environment(FLY_API_TOKEN=right)
    deployment.engine.destroy()
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]


def test_another_organisation_is_refused_in_the_preview(deployment: Deployment) -> None:
    """Fly cannot move an app, and making it anew there would delete this one: the sentence says what to do instead."""
    deployment.engine.up()
    deployment.configure(fly={"org": "other-org"})
    seen = len(deployment.engine.text())
    with pytest.raises(automation.CommandError):
        deployment.engine.preview()
    text = deployment.engine.text()[seen:]
    moved = f'could not move app "{captionacc.SERVER}" from organization "{captionacc.ORGANISATION}" to "other-org"'
    assert moved in " ".join(text.split())
    assert "Destroy the stack first, or use another stack" in " ".join(text.split())


def test_a_misspelled_orchestrator_is_said_before_anything_is_made(deployment: Deployment) -> None:
    """Its app is looked at before ours is made, so that nobody builds a server first; fixed, `up` goes through."""
    deployment.configure(orchestrator={"app": "misspelled"})
    text = " ".join(deployment.up_fails().split())
    assert 'the stack changes app "misspelled" as well' in text
    assert "Correct its name (orchestrator.app)" in text
    assert deployment.app_names() == [captionacc.ORCHESTRATOR]
    deployment.configure()
    deployment.fixed()
