"""A sandbox with light stand-ins, a stack in it, and what must hold there at any moment."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from pulumi import automation

from clients.names import KEY_PREFIX
from sandbox import captionacc
from sandbox.testing import Sandbox
from tests.support.beside import beside
from tests.support.engine import PASSPHRASE, Engine
from tests.support.programs.objects import Objects
from tests.support.stub_world import stack_config, stub_world

_PASSWORD = "canary-of-the-database-5b1f"  # noqa: S105 - planted, and looked for
_DATABASE = f"postgresql://prefect:{_PASSWORD}@127.0.0.1:5432/postgres"
# Nobody listens there; the stand-in of the server sends nothing.
_CHANNEL = "http://127.0.0.1:9/hooks/canary-of-the-channel-83c1"
# A wait that a fault makes vain is waited for to its end: long for a stand-in on a busy machine, and no longer.
_TIMEOUTS = {"migrate": 90, "healthy": 90, "redeploy": 90}
_SAMPLES_A_SECOND = 10
# Of the server, for the orchestrator and for logins: known by their form, whichever they are.
_GENERATED_KEY = re.compile(rf"\b{KEY_PREFIX}[\w-]{{20,}}")


@dataclass
class Stage:
    """One world; `said` are the violations that were seen while it ran."""

    sandbox: Sandbox
    engine: Engine
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sandbox.fly.edge.journal = self.sandbox.world.core.journal

    def configure(self, **groups: Any) -> None:
        """State the settings, these groups merged into the usual ones."""
        stated = stack_config(self.sandbox, timeouts=_TIMEOUTS, **groups)
        self.engine.set(stated | {"prefect-fly:databaseUrl": _DATABASE})

    def tell(self, **hears: tuple[str, ...]) -> None:
        """State alert channels by their names, each with what it hears; all are tested."""
        channels = {name: {"kind": "webhook", "hears": heard} for name, heard in hears.items()}
        addresses = json.dumps(dict.fromkeys(channels, _CHANNEL))
        alerts = {"channels": channels, "test": True}
        self.engine.set({"prefect-fly:alerts": alerts, "prefect-fly:alertAddresses": addresses})

    def set_mode(self, mode: str) -> None:
        """State whose server is used: the sandbox's Prefect Cloud (`cloud`), or one of our own (`self-hosted`)."""
        cloud = self.sandbox.cloud
        settings = {"mode": mode, "cloud": {"apiUrl": cloud.api_url}, "cloudApiKey": cloud.workspace.key}
        self.engine.set({f"prefect-fly:{name}": value for name, value in settings.items()})

    def set_by_hand(self, name: str) -> None:
        """Set a secret of the repository, as `gh secret set` does."""
        vault = self.sandbox.github.repository(captionacc.REPOSITORY).vault
        vault.put(name, "by hand", self.sandbox.clock.time())

    def survives(self, act: Callable[[], object], *, mute: bool = False) -> bool:
        """Run something that may fail; False when it did. One without a sentence is a violation, unless `mute`."""
        seen = len(self.engine.text())
        try:
            act()
        except automation.CommandError:
            text = self.engine.text()[seen:]
            if not mute and "could not" not in text and "error:" not in text:
                self.said.append("it failed without saying why")
            if "Traceback" in text:
                self.said.append("it failed with a traceback")
            return False
        return True

    def at_rest(self) -> bool:
        """Tell whether every machine runs and is healthy, or is stopped, and the apps' names resolve that are to."""
        fly = self.sandbox.fly
        machines = [machine for app in fly.state.apps.values() for machine in app.live_machines]
        up = all(machine.state == "stopped" or captionacc.healthy(machine) for machine in machines)
        return up and all(fly.edge.is_open(app) for app in fly.state.apps if fly.route(app).resolves)

    def signature(self) -> dict[str, Any]:
        """Return what there is, without ids and ports, and without workflow runs that are over."""
        status = self.sandbox.status()
        apps = {
            app["name"]: {
                "machines": sorted((each["state"], each["image"]) for each in app["machines"]),
                "addresses": len(app["ips"]),
                "secrets": sorted(secret["name"] for secret in app["secrets"]),
            }
            for app in status["fly"]["apps"]
        }
        health = status["orchestrator"]["health"]
        return {
            "apps": apps,
            "github": status["github"]["secrets"],
            "monitors": [urlsplit(each["url"]).path for each in status["betterstack"]["monitors"]],
            "orchestrator": health["components"]["prefect"] if health else None,
            **self._kept_on_the_server(),
            "running": [run["workflow"] for run in status["github"]["runs"] if run["status"] != "completed"],
        }

    def _kept_on_the_server(self) -> dict[str, Any]:
        """Return the blocks, and the automations with the names of the blocks that they send through."""
        files = self.sandbox.world.options.home.glob("objects-*.json")
        found = [Objects(file).everything() for file in files]
        blocks = {each["id"]: each["name"] for kept in found for each in kept["block_documents"]}
        automations = [
            [each["name"], each["enabled"], [blocks.get(action["block_document_id"]) for action in each["actions"]]]
            for kept in found
            for each in kept["automations"]
        ]
        return {"blocks": sorted(blocks.values()), "automations": sorted(automations, key=str)}

    def two_at_once(self) -> list[str]:
        """Return the pairs of workflow runs that were in flight at the same time."""
        runs = [run for repository in self.sandbox.github.repositories.values() for run in repository.runs]
        ends = {run.id: run.updated_at if run.status == "completed" else float("inf") for run in runs}
        return [
            f"runs {one.id} and {other.id} were in flight together"
            for one, other in combinations(sorted(runs, key=lambda run: run.created_at), 2)
            if one.workflow_id == other.workflow_id and other.created_at < ends[one.id]
        ]

    def leaks(self) -> list[str]:
        """Return the names of secrets whose values stand in what the engine printed."""
        tokens = {name: value for name, value in self.sandbox.env().items() if name.endswith("_TOKEN")}
        planted = {
            "the database's password": _PASSWORD,
            "the channel's address": _CHANNEL,
            "the passphrase": PASSPHRASE,
        }
        text = self.engine.text()
        found = [
            name
            for name, value in {**planted, **tokens}.items()
            if any(form in text for form in {value, quote(value, safe="")})
        ]
        if _GENERATED_KEY.search(text):
            found.append("a generated key")
        return [f"{name} stands in the output" for name in found]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look ten times a second whether the orchestrator points at a server that is gone."""
        with beside(self._watch):
            yield

    def _watch(self, over: threading.Event) -> None:
        server = self.sandbox.edge_url(captionacc.SERVER)
        while not over.wait(1 / _SAMPLES_A_SECOND):
            # In this order: a server that is gone before the orchestrator is asked was gone too early.
            app = self.sandbox.fly.state.apps.get(captionacc.SERVER)
            gone = app is None or not app.live_machines
            said = self._health() if gone else None
            if said and said["points_at"].startswith(server):
                health = said["components"]["prefect"]
                self.said.append(f'the server is gone, and the orchestrator says "{health}"')
                return

    def _health(self) -> Any:
        """Return what the orchestrator says of itself, if anything; asked directly, past the edge and its faults."""
        for machine in self.sandbox.fly.state.apps[captionacc.ORCHESTRATOR].live_machines:
            with suppress(requests.RequestException, ValueError):
                address = f"http://{machine.private_ip}:{captionacc.ORCHESTRATOR_PORT}/health"
                return requests.get(address, timeout=5).json()
        return None


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Make a world below `folder` with a stack that is configured and not deployed."""
    with stub_world(folder / "sandbox") as sandbox:
        made = Stage(sandbox, Engine(folder / "stack", sandbox.env(), inline=True))
        made.configure()
        yield made
