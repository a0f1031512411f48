"""`status`, which looks at a whole stack and changes nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from clients.better_stack import BetterStackClient
from clients.endpoints import World
from clients.fly.model import MachineRequest
from ops import __main__ as program
from ops.runtime import Progress, Runtime
from sandbox.captionacc import ORCHESTRATOR, REPOSITORY, WORKFLOW
from tests.sandbox.ops.conftest import DEAD, Verbs
from tests.support.fake_server import CREDENTIAL, use
from tests.support.fly_world import ORG, client_of, config
from tests.support.health_server import json_server
from tests.support.waiting import until

APP = "captionacc-prefect"
OWNER, NAME = REPOSITORY.split("/")
DATABASE = {
    "size_bytes": 12_300_000,
    "connections": 7,
    "connections_limit": 60,
    "open": {"RUNNING": 2, "SCHEDULED": 0},
    "ended": {"COMPLETED": 5, "FAILED": 0},
    "late": 0,
    "lateness_seconds": 0.0,
}
POOL = {"used": 1, "idle": 4, "limit": 15}


@dataclass
class Deployed:
    """A stack whose server is a small one of the test's own."""

    verbs: Verbs
    url: str = ""
    status: dict[str, Any] = field(default_factory=lambda: {"prefect": "3.8.8", "database": DATABASE, "pool": POOL})
    keys: dict[str, Any] = field(default_factory=lambda: {"admin": use(), "orchestrator": use()})
    who: dict[str, Any] = field(default_factory=lambda: {"name": "verify", "rights": "admin", "expires": None})
    ready: int = 200
    environ: dict[str, str] = field(default_factory=lambda: {"PREFECT_FLY_VERIFY_KEY": f"verify:{CREDENTIAL.key}"})
    settings: dict[str, Any] = field(default_factory=dict)
    connected: bool = True
    pause: Callable[[float], None] = time.sleep

    def answer(self, path: str, authorization: str) -> tuple[int, Any]:
        """What the server answers."""
        if path == "/api/ready":
            return self.ready, {}
        if authorization != CREDENTIAL.basic():
            return 401, {}
        keys = (200, {"keys": self.keys}) if self.who["rights"] == "admin" else (403, {})
        pages = {"/gate/status": (200, self.status), "/gate/keys": keys, "/gate/whoami": (200, self.who)}
        return pages.get(path, (404, {}))

    def config(self, stack: str, _advice: str) -> dict[str, dict[str, Any]]:
        """What `pulumi config --json` would say."""
        assert stack == "dev"
        groups: dict[str, Any] = {
            "fly": {"org": ORG, "app": APP, "urlTemplate": self.url},
            "orchestrator": {"app": ORCHESTRATOR, "healthUrl": self.verbs.health_url, "connected": self.connected},
            "github": {"repository": NAME, "workflow": WORKFLOW},
        }
        stated = {f"prefect-fly:{name}": {"objectValue": group, "value": ""} for name, group in groups.items()}
        outside = {"prefect-fly:endpoints": "sandbox", "github:owner": OWNER, **self.settings}
        return stated | {name: {"value": value} for name, value in outside.items()}

    def look(self, *flags: str) -> tuple[int, str, str]:
        """Run the verb; return its exit code and what it wrote."""
        code = program.main(["status", "dev", *flags])
        written = self.verbs.capture.readouterr()
        return code, written.out, written.err

    def parts(self) -> dict[str, dict[str, Any]]:
        """Run it with --json; return the parts by name."""
        _, out, _ = self.look("--json")
        return {part["part"]: part for part in json.loads(out)["parts"]}


@contextmanager
def _deployed(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    made = Deployed(verbs)

    def surroundings(world: World) -> Runtime:
        environ = verbs.sandbox.env() | made.environ
        return Runtime(world=world, progress=Progress(), environ=environ, poll=0.05, lag=0.05, sleep=made.pause)

    with json_server(made.answer) as made.url:
        monkeypatch.setattr(program, "runtime", surroundings)
        monkeypatch.setattr("ops.status_stack.config_of", made.config)
        yield made


@pytest.fixture
def deployed(verbs: Verbs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployed]:
    """A stack that is well: a server with a machine, a redeployed orchestrator and a monitor that is up."""
    fly = client_of(verbs.sandbox)
    fly.apps.create(APP, ORG)
    fly.apps.wait_ready(APP)
    init = {"cmd": ["serve"], "swap_size_mb": 512}
    machine = fly.machines.create(APP, MachineRequest(name="prefect-ewr-1", region="ewr", config=config(init=init)))
    assert fly.machines.wait(APP, machine, "started", seconds=60)
    until(lambda: fly.machines.get(APP, machine.id).healthy)
    verbs.wire()
    redeploy = ["--orchestrator-app", ORCHESTRATOR, "--repository", REPOSITORY, "--workflow", WORKFLOW]
    assert verbs.run("redeploy", *redeploy, "--timeout", "600")
    with _deployed(verbs, monkeypatch) as made:
        better_stack = BetterStackClient.from_environment(World.SANDBOX, verbs.sandbox.env())
        url = f"{made.url}/api/ready"
        better_stack.create({"url": url, "monitor_type": "expected_status_code", "expected_status_codes": [200]})
        until(lambda: better_stack.find(url)[0].attributes["status"] == "up")
        yield made


def test_a_good_stack_is_one_screen_and_code_0(deployed: Deployed) -> None:
    """Every part says what it is about, nothing was changed, and a pipe gets neither colours nor JSON."""
    before = len(deployed.verbs.sandbox.journal())
    code, out, err = deployed.look()
    assert (code, err) == (0, "")
    lines = dict(line.strip().split("  ", 1) for line in out.splitlines() if line.startswith("  "))
    assert {name.strip() for name in lines} == {
        *("server", "machine", "database", "runs", "login", "key admin", "key orchestrator"),
        *("orchestrator", "redeploy", "monitor", "cost"),
    }
    assert "all is well" in out.splitlines()[0]
    for text in (
        f"{deployed.url} ready in ",
        "Prefect 3.8.8",
        "prefect-ewr-1",
        "in ewr, started",
        "256 MB and 512 MB of swap, image sha256:aaaaaaaaaaaa",
        "12.3 MB, 7 of 60 connections in use (the server holds 5 of at most 15)",
        "2 running; none late; in the last hour 5 completed",
        "3 accepted, 0 refused, Prefect 3.8.8",
        'its Prefect is "healthy", 1 of 1 machines started',
        "success",
        "/actions/runs/",
        "up, asks",
        "1.94 USD per month on Fly (1 machine)",
    ):
        assert text in out
    assert "\x1b" not in out
    assert {entry["method"] for entry in deployed.verbs.sandbox.journal()[before:]} == {"GET"}


def test_json_holds_what_the_screen_says(deployed: Deployed) -> None:
    """One line for programs, with numbers instead of sentences."""
    code, out, _ = deployed.look("--json")
    report = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert (report["stack"], report["world"], report["well"]) == ("dev", "sandbox", True)
    parts = {part["part"]: part for part in report["parts"]}
    assert parts["database"]["size_bytes"] == 12_300_000
    assert parts["machine"]["memory_mb"] == 256
    assert set(parts["machine"]["checks"].values()) == {"passing"}
    assert parts["key admin"]["last_accepted"] == 1_700_000_000.0
    assert parts["redeploy"]["conclusion"] == "success"
    assert parts["monitor"]["status"] == "up"
    assert parts["cost"]["monthly_usd"] == 1.94


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("server", {"ready": 503}),
        ("database", {"status": {"prefect": "3.8.8", "database": None, "pool": None}}),
        ("database", {"status": {"prefect": "3.8.8", "database": DATABASE | {"connections": 55}, "pool": POOL}}),
        ("runs", {"status": {"prefect": "3.8.8", "database": DATABASE | {"late": 1, "lateness_seconds": 400.0}}}),
        ("key orchestrator", {"keys": {"orchestrator": use(client_version="2.20.1")}}),
    ],
)
def test_one_bad_part_is_told_with_code_1(deployed: Deployed, part: str, change: dict[str, Any]) -> None:
    """The part is a problem, the others stay as they are, and the last sentence names it."""
    for name, value in change.items():
        setattr(deployed, name, value)
    parts = deployed.parts()
    # A server that is not ready is seen by the monitor as well, sooner or later.
    also = {"monitor"} if part == "server" else set()
    assert {name for name, found in parts.items() if found["state"] == "problem"} - also == {part}
    code, out, err = deployed.look()
    assert code == 1
    assert "not well" in out.splitlines()[0]
    assert re.search(rf'could not call stack "dev" well: look at {part}(, monitor)? above\.', err)


def test_an_orchestrator_that_is_not_as_the_stack_says(deployed: Deployed) -> None:
    """Without its server, or not answering, it is a problem; detached on purpose it is not."""
    deployed.connected = False
    detached = deployed.parts()["orchestrator"]
    assert detached["state"] == "problem"
    assert 'its Prefect is "healthy", not "not_configured" (orchestrator.connected is false)' in detached["text"]
    deployed.verbs.unset()
    deployed.verbs.restart()
    until(deployed.verbs.started)
    assert deployed.parts()["orchestrator"]["state"] == "ok"
    deployed.connected = True
    assert deployed.parts()["orchestrator"]["state"] == "problem"
    deployed.verbs.health_url = DEAD
    assert deployed.parts()["orchestrator"]["state"] == "problem"


def test_what_cannot_be_asked_says_why_and_hides_nothing_else(deployed: Deployed) -> None:
    """Without any token and key each part has its reason, those that need none are shown, and no secret is printed."""
    deployed.environ = dict.fromkeys(("FLY_API_TOKEN", "GITHUB_TOKEN", "BETTERSTACK_API_TOKEN"), "")
    code, out, err = deployed.look()
    assert code == 1
    assert "not all could be asked" in out.splitlines()[0]
    for name in ("FLY_API_TOKEN", "GITHUB_TOKEN", "BETTERSTACK_API_TOKEN", "PREFECT_FLY_VERIFY_KEY"):
        assert out.count(f"{name} is not set") + out.count(f'"{name}" is not set') >= 1
    assert f"{deployed.url} ready in" in out
    assert 'its Prefect is "healthy"' in out
    assert "could not be asked, for the reason of machine" in out
    assert "look at machine, database, runs, login, keys, orchestrator, redeploy, monitor, cost above" in err
    deployed.environ = {"GITHUB_TOKEN": "ghp_canary", "PREFECT_FLY_VERIFY_KEY": "verify:canary-too"}
    _, out, err = deployed.look()
    assert 'it refuses the key "verify"' in out
    assert "canary" not in out + err


def test_an_image_older_than_the_question_is_no_riddle(deployed: Deployed) -> None:
    """A server that has no /gate/status leaves its database unasked; its keys are shown."""
    deployed.status = {}
    parts = deployed.parts()
    assert parts["database"]["text"].startswith(
        'could not ask the server: /gate/status answered HTTP 200 without "prefect"'
    )
    assert parts["key admin"]["state"] == "ok"


def test_a_viewers_key_sees_what_it_may(deployed: Deployed) -> None:
    """It says whose key it is and what it may not; only the keys' use is left unasked."""
    deployed.who = {"name": "anna", "rights": "viewer", "expires": None}
    parts = deployed.parts()
    assert (parts["login"]["state"], parts["login"]["rights"]) == ("note", "viewer")
    assert 'asked as "anna" with viewer rights' in parts["login"]["text"]
    assert parts["keys"]["text"].startswith('could not ask the server: key "verify" may not ask this')
    assert {name for name, part in parts.items() if part["state"] == "unknown"} == {"keys"}


def test_a_stack_on_prefect_cloud_has_no_server_of_ours(deployed: Deployed) -> None:
    """With mode: cloud there are the workspace, the orchestrator and its redeploy."""
    url = "https://api.prefect.cloud/api/accounts/a/workspaces/w"
    deployed.settings = {"prefect-fly:mode": "cloud", "prefect-fly:cloud": json.dumps({"apiUrl": url})}
    parts = deployed.parts()
    assert list(parts) == ["server", "orchestrator", "redeploy"]
    assert url in parts["server"]["text"]


def test_watch_looks_again_until_interrupted(deployed: Deployed) -> None:
    """Each look is a screen of its own; the last one gives the exit code."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        deployed.ready = 503
        if len(pauses) == 2:
            raise KeyboardInterrupt

    deployed.pause = pause
    code, out, _ = deployed.look("--watch", "3")
    assert (code, pauses) == (1, [3.0, 3.0])
    assert out.count("stack dev (sandbox)") == 2
    assert out.count("all is well") == 1
