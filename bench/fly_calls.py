"""What a stack's life costs in calls to Fly and in seconds, beside a script that does the same one after another.

Run `.venv/bin/python -m toolchain run .venv/bin/python -m bench.fly_calls` (about two minutes). The stack is an app
with two addresses, one set of secrets and one machine, under the real engine. The script knows no state: it posts and
polls, waits for nothing it does not need, asks nothing before, and marks nothing as its own. Both talk to the same
emulated Fly, whose machines need 0.2 s to boot and pass their check within a second; with and without a delay of
100 ms for every call. Counted are the calls that arrived.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from clients.names import owner_of
from sandbox.fly import FlyOptions
from sandbox.testing import Sandbox, running_sandbox
from tests.support.cli_stack import CliStack

ROOT = Path(__file__).resolve().parents[1]
ORG, OWNER = "captionacc", owner_of("organization", "bench", "bench")
LATENCIES = (0.0, 0.1)
STEPS = ("create", "no-op", "refresh", "image update", "secret rotation", "destroy")
PROGRAM = """
import pulumi
from providers.fly_app import App
from providers.fly_ip_address import IpAddress
from providers.fly_machine import Machine
from providers.fly_secrets import Secrets

app = App("bench", org=ORG, name="bench", owner=OWNER, endpoints="sandbox")
for kind in ("shared_v4", "v6"):
    IpAddress(f"bench-{kind}", app=app.name, kind=kind, endpoints="sandbox")
secrets = Secrets("bench", app=app.name, values={"A": pulumi.Output.secret(VALUE)}, owner=OWNER, endpoints="sandbox")
Machine(
    "bench-1", app=app.name, name="bench-1", region="ewr", config=CONFIG, owner=OWNER, endpoints="sandbox",
    min_secrets_version=secrets.version, secrets_fingerprint=secrets.fingerprint,
)
"""


def machine_config(image: str) -> dict[str, Any]:
    """Return the config of a machine with one quick check."""
    check = {"type": "http", "interval": "1s", "timeout": "1s", "grace_period": "1s", "path": "/"}
    service = {"protocol": "tcp", "internal_port": 4200, "ports": [{"port": 443, "handlers": ["http", "tls"]}]}
    return {
        "image": f"registry.fly.io/bench@sha256:{image * 64}",
        "guest": {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256},
        "services": [service | {"autostop": "off", "checks": [check]}],
    }


@dataclass
class Measured:
    """Calls and seconds of each step."""

    calls: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str, sandbox: Sandbox) -> Iterator[None]:
        """Measure what happens in the block."""
        before, began = len(sandbox.journal("fly")), time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self.calls[name] = len(sandbox.journal("fly")) - before


def stack(sandbox: Sandbox, folder: Path) -> Measured:
    """Take the stack through its life under the engine."""
    measured = Measured()
    made = CliStack(folder, {**sandbox.env(), "PYTHONPATH": str(ROOT)})

    def up(image: str, value: str, *words: str) -> None:
        made.program(PROGRAM, ORG=ORG, OWNER=OWNER, VALUE=value, CONFIG=machine_config(image))
        made.up(*words)

    acts: dict[str, Callable[[], object]] = {
        "create": lambda: up("a", "one"),
        "no-op": lambda: up("a", "one"),
        "refresh": lambda: up("a", "one", "--refresh"),
        "image update": lambda: up("b", "one"),
        "secret rotation": lambda: up("b", "two"),
        "destroy": made.destroy,
    }
    for name in STEPS:
        with measured.step(name, sandbox):
            acts[name]()
    return measured


class Script:
    """The same steps as plain calls, one after another."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {environ['FLY_API_TOKEN']}"
        self._base = f"{environ['FLY_FLAPS_BASE_URL']}/v1/apps"
        self._machine, self._version = "", 0

    def _call(self, method: str, path: str, body: object = None, **params: str) -> Any:
        while True:
            reply = self._session.request(method, self._base + path, json=body, params=params, timeout=70)
            if reply.status_code != 429:
                break
            time.sleep(1.0)
        reply.raise_for_status()
        return reply.json() if reply.content else None

    def _healthy(self, machine: dict[str, Any]) -> None:
        path = f"/bench/machines/{machine['id']}"
        self._call("GET", f"{path}/wait", state="started", version=machine["instance_id"])
        while not (checks := self._call("GET", path)["checks"]) or any(each["status"] != "passing" for each in checks):
            time.sleep(1.0)

    def _set(self, value: str) -> None:
        self._version = self._call("POST", "/bench/secrets", {"values": {"A": value}})["version"]

    def _update(self, image: str) -> None:
        body = {"config": machine_config(image), "min_secrets_version": self._version}
        self._healthy(self._call("POST", f"/bench/machines/{self._machine}", body))

    def _create(self) -> None:
        self._call("POST", "", {"name": "bench", "org_slug": ORG})
        for kind in ("shared_v4", "v6"):
            self._call("POST", "/bench/ip_assignments", {"type": kind})
        self._set("one")
        body = {"name": "bench-1", "region": "ewr", "config": machine_config("a"), "min_secrets_version": self._version}
        machine = self._call("POST", "/bench/machines", body)
        self._machine = machine["id"]
        self._healthy(machine)

    def _look(self) -> None:
        for path in ("", "/ip_assignments", "/secrets", f"/machines/{self._machine}"):
            self._call("GET", f"/bench{path}")

    def _rotate(self) -> None:
        self._set("two")
        self._update("b")

    def run(self, sandbox: Sandbox) -> Measured:
        """Do all steps; without a state, "no-op" has to look as well."""
        measured = Measured()
        acts: dict[str, Callable[[], object]] = {
            "create": self._create,
            "no-op": self._look,
            "refresh": self._look,
            "image update": lambda: self._update("b"),
            "secret rotation": self._rotate,
            "destroy": lambda: self._call("DELETE", "/bench", force="true"),
        }
        for name in STEPS:
            with measured.step(name, sandbox):
                acts[name]()
        return measured


def main() -> None:
    """Measure and print a table."""
    print("| step | latency | stack: calls | stack: s | script: calls | script: s |")
    print("|---|---|---|---|---|---|")
    for latency in LATENCIES:
        with tempfile.TemporaryDirectory() as folder:
            home, fly = Path(folder), FlyOptions(org=ORG, exact_rate_limits=True)
            with running_sandbox(home / "sandbox", fly=fly, filled=False) as sandbox:
                if latency:
                    sandbox.faults("fly").add(times=None, delay=latency)
                ours = stack(sandbox, home / "stack")
                plain = Script(sandbox.env()).run(sandbox)
        for step in STEPS:
            print(
                f"| {step} | {latency * 1000:.0f} ms | {ours.calls[step]} | {ours.seconds[step]:.1f} "
                f"| {plain.calls[step]} | {plain.seconds[step]:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
