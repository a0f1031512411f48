"""What the gate costs beside the same Prefect without it, and what a flood of wrong keys costs.

    python -m toolchain run .venv/bin/python -m bench.gate     (about two minutes on two idle cores)

There are two without it: one behind Prefect's own auth string, which is what a server on the internet has instead of a
gate, and one that is open to everybody. All are real servers on databases of their own in one Postgres, and take
turns, so that whatever else the machine does meets all alike. The ratios are the result.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bench.pair import databases
from proof.processes import cpu_seconds, resident_mb
from sandbox.core.ports import free_port
from tests.support.prefect_server import Program, answers, hashed, plain_environment, running
from tests.support.waiting import until
from toolchain.places import ROOT
from toolchain.prefect_env import prefect_python

sys.path.insert(0, str(ROOT / "docker" / "prefect"))

from prefect_server.environment import CONNECT_ARGS, FIXED

KEY = "a-key-of-this-bench"
LOCK = "somebody:a-lock-of-this-bench"
ROUNDS, REQUESTS = 20, 100
# Two servers of the same kind differ by some percent for as long as they live: two of each say less about themselves.
OF_EACH_KIND = 2
PATHS = (("GET", "/api/health"), ("POST", "/api/flows/filter"))


@dataclass
class Server:
    """One that is measured; `took` are the milliseconds of its good requests, in the order of `PATHS`."""

    url: str
    pid: int
    credential: str
    took: list[float] = field(default_factory=list)


@contextmanager
def without_gate(home: Path, environ: dict[str, str], credential: str) -> Iterator[Server]:
    """Run Prefect as it comes, with the settings that the image gives it."""
    port = free_port()
    argv = [str(prefect_python()), "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    argv += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    own = {**plain_environment(home), **FIXED, **environ, f"{CONNECT_ARGS}SEARCH_PATH": "prefect, extensions"}
    with (home / "prefect.log").open("wb") as log, subprocess.Popen(argv, env=own, stdout=log, stderr=log) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: _ready(url, server), (home / "prefect.log").read_text)
            yield Server(url, server.pid, credential)
        finally:
            server.terminate()


def _ready(url: str, server: subprocess.Popen[bytes]) -> bool:
    if server.poll() is not None:
        raise RuntimeError("Prefect ended before it was ready")
    return answers(f"{url}/api/ready")


async def ask(session: aiohttp.ClientSession, server: Server, number: int) -> list[float]:
    """Make so many good requests, one after the other, and return what each took, ms."""
    took = []
    headers = {"Authorization": server.credential}
    for turn in range(number):
        method, path = PATHS[turn % len(PATHS)]
        body: dict[str, str] | None = {} if method == "POST" else None
        began = time.perf_counter()
        async with session.request(method, server.url + path, headers=headers, json=body) as reply:
            await reply.read()
            reply.raise_for_status()
        took.append((time.perf_counter() - began) * 1000)
    return took


@contextmanager
def flood(url: str, refused: Counter[str]) -> Iterator[None]:
    """Send wrong keys while the block runs; count what they were answered."""
    argv = [sys.executable, "-m", "bench.flood", str(urlsplit(url).port)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as sender:
        try:
            if sender.stdout is None or not sender.stdout.readline():
                raise RuntimeError("the flood did not begin")
            yield
        finally:
            sender.terminate()
            refused.update(json.loads(sender.communicate()[0]))


async def measure(servers: Sequence[Server]) -> None:
    """Let all servers take turns, in an order that changes."""
    async with aiohttp.ClientSession() as session:
        for server in servers:
            await ask(session, server, REQUESTS)
        for turn in range(ROUNDS):
            first = turn % len(servers)
            for server in (*servers[first:], *servers[:first]):
                server.took += await ask(session, server, REQUESTS)


async def measure_flood(gated: Server) -> tuple[list[float], list[float]]:
    """Let a flood and no flood take turns; return what each good request took during it and without it, ms."""
    flooded, calm = list[float](), list[float]()
    refused, seconds = Counter[str](), 0.0
    async with aiohttp.ClientSession() as session:
        for _turn in range(ROUNDS):
            calm += await ask(session, gated, REQUESTS)
            with flood(gated.url, refused):
                began = time.perf_counter()
                flooded += await ask(session, gated, REQUESTS)
                seconds += time.perf_counter() - began
    print(f"wrong keys a second: {refused.total() / seconds:.0f}, answers: {dict(refused)}")
    return flooded, calm


def _shown(name: str, took: Sequence[float], beside: Sequence[float]) -> str:
    # By path: a median over a quick and a slow one lies anywhere between the two.
    parts = []
    for first, (_, path) in enumerate(PATHS):
        for of, index in (("p50", 49), ("p99", 98)):
            each = (times[first :: len(PATHS)] for times in (took, beside))
            mine, other = (statistics.quantiles(times, n=100)[index] for times in each)
            parts.append(f"{path} {of} {mine:.1f} ms, ratio {mine / other:.2f}")
    return f"{name}: {'; '.join(parts)}"


@contextmanager
def all_kinds() -> Iterator[dict[str, list[Server]]]:
    """Run the servers of each kind."""
    locked = {"PREFECT_SERVER_API_AUTH_STRING": LOCK}
    kinds: dict[str, list[Server]] = {"with the gate": [], "Prefect's own lock": [], "open to everybody": []}
    gated, behind_lock, open_to_all = kinds.values()
    with databases(len(kinds) * OF_EACH_KIND) as lent, ExitStack() as stack:
        for _ in range(OF_EACH_KIND):
            home, environ = lent.pop()
            program = Program(home, environ | {"PREFECT_FLY_API_KEYS": hashed({"orchestrator": KEY})})
            stack.enter_context(running(program))
            gated.append(Server(program.url, program.pid, f"Bearer {KEY}"))
            home, environ = lent.pop()
            basic = f"Basic {b64encode(LOCK.encode()).decode()}"
            behind_lock.append(stack.enter_context(without_gate(home, environ | locked, basic)))
            open_to_all.append(stack.enter_context(without_gate(*lent.pop(), "")))
        yield kinds


def main() -> None:
    """Measure, and print latencies, memory and processor time."""
    with all_kinds() as kinds:
        asyncio.run(measure([server for several in zip(*kinds.values(), strict=True) for server in several]))
        for name, servers in kinds.items():
            # Before the flood: the servers without the gate see none.
            memory, spent = ([round(of(each.pid), 1) for each in servers] for of in (resident_mb, cpu_seconds))
            p50 = [
                [round(statistics.median(each.took[i :: len(PATHS)]), 2) for i in range(len(PATHS))] for each in servers
            ]
            print(f"{name}: {memory} MB, {spent} s of the processor, p50 {p50} ms")
        took = {name: [each for server in servers for each in server.took] for name, servers in kinds.items()}
        for name, beside in (
            ("with the gate", "Prefect's own lock"),
            ("with the gate", "open to everybody"),
            ("Prefect's own lock", "open to everybody"),
        ):
            print(_shown(f"{name} against {beside}", took[name], took[beside]))
        gated = kinds["with the gate"][0]
        flooded, calm = asyncio.run(measure_flood(gated))
        print(_shown("under the flood against no flood, both with the gate", flooded, calm))
        print(f"memory after the flood, MB: {resident_mb(gated.pid):.1f}")


if __name__ == "__main__":
    main()
