"""`doctor`, which looks and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from clients.endpoints import World
from ops import __main__ as program
from ops.runtime import Progress, Runtime
from sandbox.captionacc import ORCHESTRATOR, REPOSITORY, WORKFLOW
from tests.sandbox.ops.conftest import DEAD, Verbs
from tests.support.fly_world import ORG


def doctor(verbs: Verbs) -> dict[str, Any] | None:
    flags = [
        "--org",
        ORG,
        "--orchestrator-app",
        ORCHESTRATOR,
        "--health-url",
        verbs.health_url,
        "--server-app",
        "captionacc-prefect",
    ]
    return verbs.run("doctor", *flags, "--repository", REPOSITORY, "--workflow", WORKFLOW)


def test_doctor_finds_nothing_wrong_in_a_good_world(verbs: Verbs) -> None:
    """Tokens, app, repository, workflow, Better Stack and health are all well; nothing is changed."""
    assert doctor(verbs) == {"problems": 0, "notes": 1}
    assert {entry["method"] for entry in verbs.sandbox.journal()} == {"GET"}


def test_doctor_tells_problems_and_shows_no_secret(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each broken thing is a line of its own, one failing look does not hide the others, and no token is printed."""
    environ = verbs.sandbox.env() | {"GITHUB_TOKEN": "ghp_canary", "BETTERSTACK_API_TOKEN": "canary"}
    broken = Runtime(world=World.SANDBOX, progress=Progress(), environ=environ, poll=0.05, lag=0.05)
    monkeypatch.setattr(program, "runtime", lambda _world: broken)
    verbs.health_url = DEAD
    assert doctor(verbs) is None
    assert verbs.failure.count("problem  ") == 3
    assert all(subject in verbs.failure for subject in ("GitHub ", "Better Stack ", "orchestrator health "))
    assert "canary" not in verbs.failure
    assert verbs.sandbox.env()["FLY_API_TOKEN"] not in verbs.failure


def test_doctor_finds_a_public_address_on_a_private_server(verbs: Verbs) -> None:
    """The stack says private, somebody gave the app an address: the line has the command that removes it."""
    app = verbs.sandbox.fly.add_app("captionacc-prefect", ORG)
    verbs.sandbox.fly.state.add_address(app, "private_v6")
    flags = ["--org", ORG, "--server-app", app.name, "--reach", "machine"]
    assert verbs.run("doctor", *flags) is not None
    public = verbs.sandbox.fly.state.add_address(app, "v6")
    assert verbs.run("doctor", *flags) is None
    assert f'remove it with "fly ips release {public.ip} -a {app.name}"' in verbs.failure
