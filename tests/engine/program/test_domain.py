"""A name of one's own: got ready first, used when it is valid, given back; and all at once where the DNS is ready."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox import captionacc
from tests.engine.program.conftest import Deployment

pytestmark = pytest.mark.engine

NAME = "prefect.example.com"
CERTIFICATES = f"/v1/apps/{captionacc.SERVER}/certificates"


def state(deployment: Deployment, *, seconds: int = 300, **fly: Any) -> None:
    template = deployment.sandbox.edge_url(NAME)
    deployment.configure(fly={"domain": NAME, "domainUrlTemplate": template, **fly}, timeouts={"domain": seconds})


def point_dns(deployment: Deployment) -> None:
    deployment.sandbox.fly.state.set_dns(NAME, "CNAME", [f"{captionacc.SERVER}.fly.dev"])


def used(deployment: Deployment) -> set[str]:
    """Every address of the server that somebody outside was given."""
    sandbox = deployment.sandbox
    ours = sandbox.fly.state.apps[captionacc.ORCHESTRATOR].secrets["PREFECT_API_URL"].value
    theirs = sandbox.github.secret("captionacc/captionacc", "PREFECT_API_URL")
    monitors = [monitor["url"] for monitor in sandbox.status()["betterstack"]["monitors"]]
    said = deployment.engine.outputs()["serverUrl"]
    return {ours.removesuffix("/api"), str(theirs).removesuffix("/api"), said} | {
        url.removesuffix("/api/ready") for url in monitors
    }


@pytest.mark.long
def test_everybody_moves_to_the_name_when_it_is_valid_and_back_before_it_goes(deployment: Deployment) -> None:
    """Got ready it changes nothing for anybody; in use it waits, and fails with the records to add; then all move."""
    usual, own = deployment.sandbox.edge_url(captionacc.SERVER), deployment.sandbox.edge_url(NAME)
    state(deployment)
    deployment.engine.preview()
    assert f"CNAME {NAME} → {captionacc.SERVER}.fly.dev" in deployment.engine.text()
    deployment.fixed()
    assert used(deployment) == {usual}
    rows = deployment.engine.outputs()["dnsRecords"]
    assert {(row["type"], row["name"]) for row in rows} >= {("A", NAME), ("AAAA", NAME), ("CNAME", NAME)}

    state(deployment, useDomain=True, seconds=10)
    text = deployment.up_fails()
    assert f'could not use domain "{NAME}": its DNS does not lead to the app (found: nothing): add CNAME {NAME}' in text
    assert deployment.prefect_health() == "healthy"

    point_dns(deployment)
    state(deployment, useDomain=True)
    seen = len(deployment.sandbox.journal())
    deployment.fixed()
    assert used(deployment) == {own}
    changes = deployment.changes(seen)
    moved = changes.index(f"fly POST /v1/apps/{captionacc.ORCHESTRATOR}/secrets")
    assert max(place for place, call in enumerate(changes) if call.endswith("/check")) < moved

    deployment.configure()
    seen = len(deployment.sandbox.journal())
    deployment.fixed()
    assert used(deployment) == {usual}
    changes = deployment.changes(seen)
    given_up = changes.index(f"fly DELETE {CERTIFICATES}/{NAME}")
    assert max(place for place, call in enumerate(changes) if call.endswith("/dispatches")) < given_up
    assert deployment.sandbox.fly.state.apps[captionacc.SERVER].certificates == {}


@pytest.mark.long
def test_with_the_dns_ready_one_up_does_it_all_and_destroy_gives_the_name_up(deployment: Deployment) -> None:
    """From nothing to everybody on the name; the rollback removes the certificate before its app."""
    point_dns(deployment)
    state(deployment, useDomain=True)
    deployment.fixed()
    assert used(deployment) == {deployment.sandbox.edge_url(NAME)}
    seen = len(deployment.sandbox.journal())
    deployment.engine.destroy()
    changes = deployment.changes(seen)
    detached = max(place for place, call in enumerate(changes) if call.endswith("/dispatches"))
    given_up, app = (
        changes.index(f"fly DELETE {path}") for path in (f"{CERTIFICATES}/{NAME}", f"/v1/apps/{captionacc.SERVER}")
    )
    assert detached < given_up < app
    assert deployment.prefect_health() == "not_configured"
