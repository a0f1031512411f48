"""The assembled sandbox: a dispatched workflow really redeploys, state survives, and nothing leaks into the journal."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest
import requests

from sandbox.captionacc import ORCHESTRATOR, REPOSITORY
from sandbox.core.clock import Clock
from sandbox.testing import running_sandbox
from sandbox.world import WorldError
from tests.sandbox.sandbox.world.runs import component, conclusion, dispatch
from tests.support.containers import require_docker
from tests.support.waiting import until


@pytest.mark.prefect
def test_dispatch_redeploys_with_current_secrets(tmp_path: Path) -> None:
    """Staged secrets reach the orchestrator only through the workflow: healthy when set, not_configured when unset."""
    with running_sandbox(tmp_path, "process", postgres=False) as sb:
        assert component(sb) == "not_configured"
        machine = sb.fly.state.apps[ORCHESTRATOR].live_machines[0]
        before = machine.instance_id
        cloud = {"PREFECT_API_URL": sb.cloud.api_url, "PREFECT_API_KEY": sb.cloud.workspace.key}
        sb.fly.set_secrets(ORCHESTRATOR, dict(cloud))
        assert component(sb) == "not_configured"
        assert conclusion(sb, dispatch(sb)) == "success"
        assert machine.instance_id != before
        until(lambda: component(sb) == "healthy")
        sb.fly.set_secrets(ORCHESTRATOR, dict.fromkeys(cloud))
        assert conclusion(sb, dispatch(sb)) == "success"
        assert component(sb) == "not_configured"
        assert machine.secrets.keys() == {"SUPABASE_URL", "SUPABASE_SERVICE_KEY", "MODAL_TOKEN_SECRET"}


def test_the_workflow_makes_a_release(tmp_path: Path) -> None:
    """A run notes a release as `fly deploy` does, puts its number on the machines, and says how it went."""
    with running_sandbox(tmp_path) as sb:
        app = sb.fly.state.apps[ORCHESTRATOR]
        assert [(release["version"], release["status"]) for release in app.releases] == [(1, "complete")]
        assert conclusion(sb, dispatch(sb)) == "success"
        newest = app.releases[0]
        assert (newest["version"], newest["status"], newest["in_progress"]) == (2, "complete", False)
        assert newest["definition"]["app"] == ORCHESTRATOR
        assert [machine.config["metadata"]["fly_release_version"] for machine in app.live_machines] == ["2"]


def test_no_app_fails_the_run(tmp_path: Path) -> None:
    """With the orchestrator's app gone the workflow fails, as fly deploy would."""
    with running_sandbox(tmp_path) as sb:
        sb.run(sb.fly.reset())
        assert conclusion(sb, dispatch(sb)) == "failure"


def test_unhealthy_deploy_fails_the_run(tmp_path: Path) -> None:
    """A machine whose checks never pass fails the workflow after its time is up."""
    with running_sandbox(tmp_path, clock=Clock(manual=True)) as sb:
        sb.emulated.script(app=ORCHESTRATOR, passing=False)
        number = dispatch(sb)
        run = sb.github.repository(REPOSITORY).run(number)
        assert run is not None
        for _ in range(40):
            sb.advance(10)
        assert run.conclusion == "failure"


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Stopped and started again it has the same addresses, tokens, secrets and rows, and its machines run."""
    with running_sandbox(tmp_path, "process") as sb:
        before, machine = sb.env(), sb.fly.state.apps[ORCHESTRATOR].live_machines[0].id
        sb.postgres.execute("CREATE TABLE kept AS SELECT 7 AS n")
        sb.github.repository(REPOSITORY).vault.put("KEPT", "value", 0.0)
    with running_sandbox(tmp_path, "process") as sb:
        assert sb.env() == before
        assert [each.id for each in sb.fly.state.apps[ORCHESTRATOR].live_machines] == [machine]
        assert component(sb) == "not_configured"
        assert sb.postgres.execute("SELECT n FROM kept") == "7"
        assert sb.github.secret(REPOSITORY, "KEPT") == "value"


def test_reset(tmp_path: Path) -> None:
    """A reset brings the first world back with the same addresses and tokens, over HTTP too; the database is empty."""
    with running_sandbox(tmp_path, postgres=True) as sb:
        before = sb.env()
        sb.fly.add_app("other")
        sb.github.ghes = True
        sb.postgres.execute("CREATE SCHEMA prefect; CREATE TABLE prefect.flow_run (id int)")
        sb.postgres.create_database("other")
        sb.faults("fly").add(status=500)
        requests.post(f"{before['GITHUB_API_URL']}/_sandbox/reset", timeout=600).raise_for_status()
        assert list(sb.fly.state.apps) == [ORCHESTRATOR]
        assert not sb.github.ghes
        assert sb.faults("fly").describe() == []
        assert sb.journal() == []
        assert sb.postgres.execute("SELECT to_regclass('prefect.flow_run')") == ""
        sb.postgres.execute("CREATE SCHEMA prefect", user="prefect")
        assert sb.env() == before


def test_two_at_once(tmp_path: Path) -> None:
    """Two sandboxes run side by side and share nothing: neither addresses nor tokens."""
    with running_sandbox(tmp_path / "a") as one, running_sandbox(tmp_path / "b") as two:
        same = {name for name, value in one.env().items() if two.env().get(name) == value}
        assert {name for name in same if name.endswith(("_URL", "_TOKEN", "_KEY"))} == set()
        token = {"Authorization": f"Bearer {one.env()['FLY_API_TOKEN']}"}
        url = f"{two.env()['FLY_FLAPS_BASE_URL']}/v1/apps/{ORCHESTRATOR}"
        assert requests.get(url, headers=token, timeout=600).status_code == 401


def test_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """A port of the last time that somebody else has taken is said in one sentence, and the ports are not forgotten."""
    with running_sandbox(tmp_path) as sb:
        port = int(sb.env()["GITHUB_API_URL"].rsplit(":", 1)[1])
    ports = (tmp_path / "ports.json").read_text()
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", port))
        thief.listen()
        with pytest.raises(WorldError, match="could not start the sandbox on the ports of the last time"):
            running_sandbox(tmp_path).__enter__()
    assert (tmp_path / "ports.json").read_text() == ports
    assert not [thread for thread in threading.enumerate() if thread.name == "sandbox"]


def test_strange_state_is_one_sentence(tmp_path: Path) -> None:
    """A state file that cannot be understood is said in one sentence that names the way out, and is left as it is."""
    for content in ('{"github": {"repositories": []}}', "not JSON", '{"fly": {"state": {"salt": 1}}}'):
        (tmp_path / "state.json").write_text(content)
        with pytest.raises(WorldError, match="python -m sandbox reset"):
            running_sandbox(tmp_path).__enter__()
        assert (tmp_path / "state.json").read_text() == content


def test_interrupted_first_start_is_repeated(tmp_path: Path) -> None:
    """A first start that was killed before the world was filled fills it when it is repeated, with the same tokens."""
    with running_sandbox(tmp_path) as sb:
        env = sb.env()
    kept = json.loads((tmp_path / "state.json").read_text())
    kept["filled"] = False
    kept["fly"]["state"]["apps"] = {}
    (tmp_path / "state.json").write_text(json.dumps(kept))
    with running_sandbox(tmp_path) as sb:
        assert list(sb.fly.state.apps) == [ORCHESTRATOR]
        assert sb.env() == env


@pytest.mark.containers
def test_containers(tmp_path: Path) -> None:
    """Where machines are containers there is a real registry on the same address for ever, and a base image to use."""
    require_docker()
    with running_sandbox(tmp_path, "container", postgres=False) as sb:
        env = sb.env()
        assert requests.get(f"http://{env['SANDBOX_REGISTRY']}/v2/", timeout=600).status_code == 200
        assert env["SANDBOX_BASE_IMAGE"]
        assert component(sb) == "not_configured"
    assert (tmp_path / "registry" / "pid").exists() is False
    with running_sandbox(tmp_path, "container", postgres=False) as sb:
        assert sb.env() == env
