"""What a flow run costs the server, and what a fleet of servers holds under many runs at once.

    python -m toolchain run .venv/bin/python -m bench.scale [one] [fleet]     (about ten minutes on two cores)

Real servers with the pools that the program gives them, a real Postgres with TLS, a real Redis, and a stock client
whose flow runs have one task each. Seconds of the processor, requests, connections and bytes do not depend on what
else the machine does; seconds of the clock do, and are printed for the load they were seen under.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from proof.processes import cpu_seconds, resident_mb
from sandbox.postgres import PostgresServer
from settings.database import connection_budget
from tests.support.edge import failing_over
from tests.support.postgres import running_postgres
from tests.support.prefect_server import Program, database_environment, hashed, result_of, run_client, run_verb
from tests.support.redis import running_redis
from toolchain.places import ROOT

KEY = "a-key-of-this-bench"
LOAD = ROOT / "tests" / "image" / "clients" / "load.py"
DATABASE = "scale"
IDLE_SECONDS = 120.0
SETTLE_SECONDS = 15.0
WARM_UP = (20, 10)
ONE = ((200, 10), (200, 50), (100, 10, "ten-tasks"))
FLEET = ((500, 500),)
SERVERS = 5
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'prefect'"


@dataclass
class World:
    """What is measured, as it runs."""

    postgres: PostgresServer
    programs: Sequence[Program]
    port: int
    peak: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def counted(self) -> dict[str, float]:
        """Everything that only grows."""
        rows = self.postgres.execute(
            "SELECT sum(pg_total_relation_size(oid)) FILTER (WHERE relname NOT LIKE 'event%'), "
            "sum(pg_total_relation_size(oid)) FILTER (WHERE relname LIKE 'event%'), "
            "(SELECT count(*) FROM prefect.events), (SELECT count(*) FROM prefect.log), "
            "(SELECT count(*) FROM prefect.task_run) "
            "FROM pg_class WHERE relkind = 'r' AND relnamespace = 'prefect'::regnamespace",
            DATABASE,
        )
        size, size_of_events, events, logs, tasks = map(float, rows.split("|"))
        return {
            "server CPU s": sum(cpu_seconds(each.pid) for each in self.programs if each.verb == "serve"),
            "services CPU s": sum(cpu_seconds(each.pid) for each in self.programs if each.verb == "services"),
            "database CPU s": cpu_seconds(self.postgres.pid or 0),
            "requests": sum(map(_requests, self.programs)),
            "task runs": tasks,
            "events": events,
            "log lines": logs,
            "bytes": size,
            "bytes of events": size_of_events,
        }

    def settled(self) -> dict[str, float]:
        """The same, once everything that clients sent has been written: events are, a moment after the runs."""
        before = self.counted()
        while True:
            time.sleep(SETTLE_SECONDS)
            now = self.counted()
            if all(now[name] == before[name] for name in ("events", "task runs", "log lines")):
                return now
            before = now

    def load(self, runs: int, together: int, *flow: str) -> None:
        """Run so many flow runs, so many at once, of one task or of a named flow; they must all complete."""
        environ = {
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_API_KEY": KEY,
            "PREFECT_API_AUTH_STRING": f"orchestrator:{KEY}",
        }
        client = self.programs[0].client_environment(**environ)
        result_of(run_client(LOAD, client, str(runs), str(together), *flow, timeout=3600))

    def watch_connections(self) -> None:
        """Keep the most connections that were seen."""
        while not self.over.wait(0.5):
            seen = int(self.postgres.execute(_CONNECTIONS))
            self.peak = max(self.peak, seen)


def measure(world: World, loads: Iterable[tuple[int, int, *tuple[str, ...]]]) -> None:
    """Print what each load costs a run, and what nothing costs an hour."""
    world.load(*WARM_UP)
    before = world.settled()
    time.sleep(IDLE_SECONDS)
    idle = {name: after - before[name] for name, after in world.counted().items()}
    print("idle, an hour:", _figures(idle, IDLE_SECONDS / 3600), flush=True)
    for runs, together, *flow in loads:
        before, world.peak = world.counted(), 0
        began = time.monotonic()
        world.load(runs, together, *flow)
        seconds = time.monotonic() - began
        spent = {name: after - before[name] for name, after in world.settled().items()}
        memory = [round(resident_mb(each.pid)) for each in world.programs]
        print(
            f"{runs} runs {' '.join(flow)}, {together} at once, all completed in {seconds:.0f} s, load "
            f"{os.getloadavg()[0]:.1f}; a run: {_figures(spent, runs)}; most connections: {world.peak}; "
            f"memory: {memory} MB",
            flush=True,
        )


@contextmanager
def running_world(home: Path, servers: int, tier: str) -> Iterator[World]:
    """Run one server with its services, or several without them beside a services machine and a Redis."""
    with ExitStack() as stack:
        postgres = stack.enter_context(running_postgres(home / "postgres"))
        environ = database_environment(postgres.create_database(DATABASE)) | {
            "PREFECT_FLY_API_KEYS": hashed({"orchestrator": KEY})
        }
        run_verb("migrate", home, environ).check_returncode()
        verbs = ["serve"]
        if servers > 1:
            environ["PREFECT_FLY_REDIS_URL"] = stack.enter_context(running_redis(home))
            environ["PREFECT_FLY_SEPARATE_SERVICES"] = "true"
            verbs = ["serve"] * servers + ["services"]
        budget = connection_budget(tier, len(verbs))
        print(f"{servers} server(s), tier {tier}: {budget.describe()}", flush=True)
        environ["PREFECT_SERVER_DATABASE_SQLALCHEMY_POOL_SIZE"] = str(budget.pool_size)
        environ["PREFECT_SERVER_DATABASE_SQLALCHEMY_MAX_OVERFLOW"] = str(budget.max_overflow)
        programs = [Program(home, environ, verb=verb) for verb in verbs]
        for program in programs:
            program.start()
            stack.callback(program.stop)
        for program in programs:
            program.wait_ready()
        print("CPU s until ready:", [round(cpu_seconds(program.pid), 1) for program in programs], flush=True)
        ports = [program.port for program in programs if program.verb == "serve"]
        world = World(postgres, programs, stack.enter_context(failing_over(ports)))
        watcher = threading.Thread(target=world.watch_connections)
        watcher.start()
        try:
            yield world
        finally:
            world.over.set()
            watcher.join()


def _requests(program: Program) -> float:
    text = requests.get(f"http://127.0.0.1:{program.metrics_port}/metrics", timeout=600).text
    return sum(map(float, re.findall(r"^prefect_gate_responses_total\{.*\} (\S+)$", text, re.MULTILINE)))


def _figures(spent: Mapping[str, float], units: float) -> str:
    return json.dumps({name: round(amount / units, 3 if "CPU" in name else 1) for name, amount in spent.items()})


def main() -> None:
    """Measure one server, then a fleet."""
    chosen = sys.argv[1:] or ["one", "fleet"]
    for name, servers, tier, loads in (("one", 1, "nano", ONE), ("fleet", SERVERS, "small", FLEET)):
        if name in chosen:
            with tempfile.TemporaryDirectory() as folder, running_world(Path(folder), servers, tier) as world:
                measure(world, loads)


if __name__ == "__main__":
    main()
