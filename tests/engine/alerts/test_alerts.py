"""Alerts and other objects of a server, through the real engine: on a real self-hosted one and a Cloud-like one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import requests

from clients.endpoints import World
from clients.fly import FlyClient
from clients.transport import no_progress
from sandbox import captionacc
from sandbox.testing import Sandbox, running_sandbox
from tests.engine.program.test_canaries import processes
from tests.support.engine import Engine
from tests.support.leaks import leaks
from tests.support.prefect_server import plain_environment, run_client
from tests.support.receiver import Receiver, receiving
from tests.support.stub_world import stack_config

pytestmark = [pytest.mark.engine, pytest.mark.prefect, pytest.mark.long]

NAME = "prefect.example.com"
SECRET = "c4nary-hook-9f2b"
OBJECTS: dict[str, Any] = {
    "prefect-fly:variables": {"bucket": "captions", "sizes": [1, 2]},
    "prefect-fly:workPools": {"local": {"concurrencyLimit": 3}},
    "prefect-fly:concurrencyLimits": {"global": {"db": {"limit": 2}}, "tags": {"gpu": 1}},
}
FAILING = """
from prefect import flow
@flow(name="boom")
def boom():
    raise ValueError("no luck")
try:
    boom()
except ValueError:
    print("{}")
"""


class Api:
    """A person with a key, who uses Prefect's API by hand."""

    def __init__(self, url: str, authorization: tuple[str, str] | str) -> None:
        self._url = url
        self._given: dict[str, Any] = (
            {"auth": authorization}
            if isinstance(authorization, tuple)
            else {"headers": {"Authorization": f"Bearer {authorization}"}}
        )

    def call(self, method: str, path: str, body: object | None = None) -> Any:
        """Make one call and return the decoded reply."""
        reply = requests.request(method, f"{self._url}{path}", json=body, timeout=600, **self._given)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def automations(self) -> dict[str, dict[str, Any]]:
        """All automations, by name."""
        return {each["name"]: each for each in self.call("POST", "/automations/filter", {})}


def channels(hears: list[str], **more: object) -> dict[str, Any]:
    return {"channels": {"ops": {"kind": "webhook", "hears": hears}}, "test": True, **more}


def test_of(message: Any) -> bool:
    return bool(message["subject"] == "Test of alert channel ops")


test_of.__test__ = False  # type: ignore[attr-defined]


def stop_the_server(sandbox: Sandbox) -> None:
    client = FlyClient.from_environment(World.SANDBOX, sandbox.env(), progress=no_progress)
    for machine in client.machines.list(captionacc.SERVER):
        client.machines.stop(captionacc.SERVER, machine)
        assert client.machines.wait(captionacc.SERVER, machine, "stopped", version=machine.instance_id, seconds=60)


def fail_a_flow(tmp_path: Path, url: str, credential: str) -> None:
    """Run a flow that fails, with a stock client."""
    script = tmp_path / "boom.py"
    script.write_text(FAILING)
    environment = plain_environment(tmp_path) | {
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": credential,
        "PREFECT_HOME": str(tmp_path / "client"),
        "DO_NOT_TRACK": "1",
        "PATH": os.environ["PATH"],
    }
    done = run_client(script, environment)
    assert done.returncode == 0, done.stderr


def test_a_server_tells_people_what_the_stack_says(tmp_path: Path) -> None:
    """Test message, a real failing run, drift put back, people's own left alone, removal, rollback of a dead server."""
    with receiving(f"/hooks/{SECRET}") as receiver, running_sandbox(tmp_path / "sandbox", "process") as sandbox:
        engine = Engine(tmp_path / "stack", sandbox.env())
        config = stack_config(sandbox, timeouts={"healthy": 300})
        config["prefect-fly:databaseUrl"] = sandbox.postgres.url()
        config["prefect-fly:databaseCa"] = Path(sandbox.env()["SANDBOX_DATABASE_CA_FILE"]).read_text()
        config["prefect-fly:alerts"] = channels(["failed", "silent"])
        engine.set({**config, **OBJECTS})
        engine.set_secret_at("prefect-fly:alertAddresses.ops", receiver.url)
        engine.up()
        receiver.wait_for(test_of)
        assert engine.preview(expect_no_changes=True, refresh=True) == {}
        login = engine.outputs()["uiLogin"]
        url = engine.outputs()["apiUrl"]
        api = Api(url, tuple(login.split(":", 1)))
        assert leaks(engine.state() + engine.text(), {"address": SECRET}) == set()
        _hears_of_a_real_failure(tmp_path, receiver, url, login)
        _drift_is_put_back(engine, api, receiver)
        _another_address_is_proved_and_no_more(engine, receiver)
        _a_name_of_ones_own_changes_links_alone(sandbox, engine, api, config)
        assert api.call("GET", "/variables/name/sizes")["value"] == [1, 2]
        assert api.call("GET", "/work_pools/local")["concurrency_limit"] == 3
        assert api.call("GET", "/v2/concurrency_limits/db")["limit"] == 2
        assert api.call("GET", "/concurrency_limits/tag/gpu")["concurrency_limit"] == 1
        engine.set({"prefect-fly:alerts": channels(["failed"], test=False), "prefect-fly:variables": {}})
        engine.up()
        assert set(api.automations()) == {"ops: flow run failed (sandbox)", "by hand"}
        assert api.call("POST", "/variables/filter", {}) == []
        stop_the_server(sandbox)
        engine.destroy()
        assert "stays in the server's database" in engine.text()
        assert [app["name"] for app in sandbox.status()["fly"]["apps"]] == [captionacc.ORCHESTRATOR]


def _hears_of_a_real_failure(tmp_path: Path, receiver: Receiver, url: str, login: str) -> None:
    fail_a_flow(tmp_path, url, login)
    told = receiver.wait_for(lambda message: "failed" in message["subject"])
    assert told["subject"].endswith(" of boom failed")
    assert "no luck" in told["body"]
    assert f"{url.removesuffix('/api')}/runs/flow-run/" in told["body"]
    assert told["channel"] == "ops"
    assert set(receiver.paths) == {f"/hooks/{SECRET}"}


def _drift_is_put_back(engine: Engine, api: Api, receiver: Receiver) -> None:
    """Edited by hand: an automation, an address and a limit; removed: a work pool. One automation is a person's own."""
    ours = api.automations()["ops: flow run failed (sandbox)"]
    theirs = {key: ours[key] for key in ("trigger", "actions", "description")} | {"name": "by hand", "description": ""}
    api.call("POST", "/automations/", theirs)
    api.call("PATCH", f"/automations/{ours['id']}", {"enabled": False})
    block = ours["actions"][0]["block_document_id"]
    api.call("PATCH", f"/block_documents/{block}", {"data": {"secrets": {"address": "http://127.0.0.1:9/elsewhere"}}})
    api.call("PATCH", "/v2/concurrency_limits/db", {"limit": 7})
    api.call("DELETE", "/work_pools/local")
    assert engine.preview(refresh=True) == {"update": 3, "create": 1}
    engine.up(refresh=True)
    assert api.automations()["ops: flow run failed (sandbox)"]["enabled"] is True
    data = api.call("GET", f"/block_documents/{block}?include_secrets=true")["data"]
    assert data["secrets"] == {"address": receiver.url}
    assert engine.preview(expect_no_changes=True, refresh=True) == {}


def _another_address_is_proved_and_no_more(engine: Engine, receiver: Receiver) -> None:
    """Only the block changes and only its test runs again; the preview says just that."""
    seen = len([message for message in receiver.messages if test_of(message)])
    engine.set_secret_at("prefect-fly:alertAddresses.ops", f"{receiver.url}-2")
    assert engine.preview() == {"update": 1, "replace": 1}
    engine.up()
    receiver.wait_for(lambda _message: receiver.paths[-1].endswith("-2"))
    assert len([message for message in receiver.messages if test_of(message)]) == seen + 1


def _a_name_of_ones_own_changes_links_alone(sandbox: Sandbox, engine: Engine, api: Api, config: dict[str, Any]) -> None:
    """The objects are the same ones as before; what they say leads to the new address."""
    before, own = api.automations(), sandbox.edge_url(NAME)
    sandbox.fly.state.set_dns(NAME, "CNAME", [f"{captionacc.SERVER}.fly.dev"])
    named = {"domain": NAME, "domainUrlTemplate": own, "useDomain": True}
    engine.set({"prefect-fly:fly": config["prefect-fly:fly"] | named})
    engine.up()
    after = api.automations()
    assert {name: each["id"] for name, each in after.items()} == {name: each["id"] for name, each in before.items()}
    (action,) = after["ops: flow run failed (sandbox)"]["actions"]
    assert f"\n{own}/runs/flow-run/" in action["body"]
    assert engine.preview(expect_no_changes=True) == {}


def test_prefect_cloud_is_told_the_same(tmp_path: Path) -> None:
    """With `Bearer pnu_…` alone: made, tested, quiet, without the key or address in clear, and gone after destroy."""
    with (
        receiving(f"/hooks/{SECRET}") as receiver,
        running_sandbox(tmp_path / "sandbox", "process", postgres=False) as sandbox,
    ):
        engine = Engine(tmp_path / "stack", sandbox.env())
        config = stack_config(sandbox, orchestrator={"connected": False})
        for unused in ("image", "databaseUrl"):
            del config[f"prefect-fly:{unused}"]
        cloud = {
            "prefect-fly:mode": "cloud",
            "prefect-fly:fly": {"org": captionacc.ORGANISATION},
            "prefect-fly:cloud": {"apiUrl": sandbox.cloud.api_url},
            "prefect-fly:cloudApiKey": sandbox.cloud.workspace.key,
            "prefect-fly:alerts": channels(["crashed", "late", "stuck", "work-pool-not-ready"]),
            "prefect-fly:alertAddresses": json.dumps({"ops": receiver.url}),
        }
        engine.set({**config, **OBJECTS, **cloud})
        with processes() as seen:
            engine.up()
        receiver.wait_for(test_of)
        assert engine.preview(expect_no_changes=True, refresh=True) == {}
        secrets = {"key": sandbox.cloud.workspace.key, "address": SECRET}
        assert any("-m ops send-test-alert" in line for line in seen.lines)
        kept = [path.read_text(errors="replace") for path in (tmp_path / "stack").rglob("*") if path.is_file()]
        journal = (tmp_path / "sandbox" / "journal.jsonl").read_text()
        assert leaks("\n".join([engine.text(), journal, *seen.lines, *kept]), secrets) == set()
        api = Api(sandbox.cloud.api_url, sandbox.cloud.workspace.key)
        assert len(api.automations()) == 5
        engine.destroy()
        assert api.automations() == {}
        assert api.call("POST", "/variables/filter", {}) == []
        assert api.call("POST", "/work_pools/filter", {}) == []
        assert [
            block for block in api.call("POST", "/block_documents/filter", {}) if "prefect-fly" in block["name"]
        ] == []
