"""What the gate costs: the same Prefect with it and without it, side by side; and what a flood of wrong keys costs.

    python -m toolchain run .venv/bin/python -m bench.gate     (about a minute on two idle cores)

Both are real servers on databases of their own in one Postgres, and take turns, so that whatever else the machine does
meets both alike. The ratios are the result.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp

from bench.pair import two_databases
from proof.processes import cpu_seconds, resident_mb
from sandbox.core.ports import free_port
from tests.support.prefect_server import Program, hashed, plain_environment, running
from tests.support.waiting import until
from toolchain.places import ROOT
from toolchain.prefect_env import prefect_python

sys.path.insert(0, str(ROOT / "docker" / "prefect"))

from prefect_server.environment import CONNECT_ARGS, FIXED

KEY = "a-key-of-this-bench"
GOOD, WRONG = ({"Authorization": f"Bearer {key}"} for key in (KEY, "a-wrong-key"))
ROUNDS, REQUESTS = 20, 100
FLOOD_A_SECOND, FLOODERS = 1000, 50
PATHS = (("GET", "/api/health"), ("POST", "/api/flows/filter"))


@contextmanager
def without_gate(home: Path, environ: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Run Prefect as it comes, with the settings that the image gives it; yield its address and its process."""
    port = free_port()
    argv = [str(prefect_python()), "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    argv += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    own = {**plain_environment(home), **FIXED, **environ, f"{CONNECT_ARGS}SEARCH_PATH": "prefect, extensions"}
    with (home / "prefect.log").open("wb") as log, subprocess.Popen(argv, env=own, stdout=log, stderr=log) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            until(lambda: _answers(port, server), (home / "prefect.log").read_text)
            yield url, server.pid
        finally:
            server.terminate()


def _answers(port: int, server: subprocess.Popen[bytes]) -> bool:
    async def ask() -> bool:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/api/ready") as reply:
            return reply.ok

    if server.poll() is not None:
        raise RuntimeError("Prefect ended before it was ready")
    with suppress(aiohttp.ClientError):
        return asyncio.run(ask())
    return False


async def ask(session: aiohttp.ClientSession, url: str, number: int) -> list[float]:
    """Make so many good requests, one after the other, and return what each took, ms."""
    took = []
    for turn in range(number):
        method, path = PATHS[turn % len(PATHS)]
        began = time.perf_counter()
        async with session.request(method, url + path, headers=GOOD, json={} if method == "POST" else None) as reply:
            await reply.read()
            reply.raise_for_status()
        took.append((time.perf_counter() - began) * 1000)
    return took


@asynccontextmanager
async def flood(session: aiohttp.ClientSession, url: str, refused: list[int]) -> AsyncIterator[None]:
    """Send wrong keys while the block runs, from several clients that keep a pace together."""

    async def send() -> None:
        following = time.perf_counter()
        while True:
            following += FLOODERS / FLOOD_A_SECOND
            await asyncio.sleep(max(0.0, following - time.perf_counter()))
            async with session.get(f"{url}/api/flows/count", headers=WRONG) as reply:
                refused.append(reply.status)

    senders = [asyncio.create_task(send()) for _ in range(FLOODERS)]
    try:
        yield
    finally:
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)


async def measure(gated: str, plain: str) -> tuple[list[float], list[float]]:
    """Let both servers take turns; return what each request took with the gate and without it, ms."""
    with_gate, without = list[float](), list[float]()
    async with aiohttp.ClientSession() as session:
        for url in (gated, plain):
            await ask(session, url, REQUESTS)
        for turn in range(ROUNDS):
            for took, url in ((with_gate, gated), (without, plain))[:: 1 if turn % 2 else -1]:
                took.extend(await ask(session, url, REQUESTS))
    return with_gate, without


async def measure_flood(gated: str) -> tuple[list[float], list[float]]:
    """Let a flood and no flood take turns; return what each good request took during it and without it, ms."""
    flooded, calm = list[float](), list[float]()
    refused, seconds = list[int](), 0.0
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        for _turn in range(ROUNDS):
            calm += await ask(session, gated, REQUESTS)
            began = time.perf_counter()
            async with flood(session, gated, refused):
                flooded += await ask(session, gated, REQUESTS)
            seconds += time.perf_counter() - began
    print(f"wrong keys a second: {len(refused) / seconds:.0f}, answered with {sorted(set(refused))}")
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


def main() -> None:
    """Measure, and print latencies, memory and processor time."""
    with two_databases() as ((home, environ), other):
        program = Program(home, environ | {"PREFECT_FLY_API_KEYS": hashed({"orchestrator": KEY})})
        with running(program), without_gate(*other) as (plain, plain_pid):
            print(_shown("with the gate against without", *asyncio.run(measure(program.url, plain))))
            # Before the flood: the server without the gate sees none.
            pids = (program.pid, plain_pid)
            memory, spent = ([round(of(pid), 1) for pid in pids] for of in (resident_mb, cpu_seconds))
            print(f"memory, MB: {memory}; processor seconds: {spent} (with the gate, without)")
            flooded, calm = asyncio.run(measure_flood(program.url))
            print(_shown("under the flood against no flood, both with the gate", flooded, calm))
            print(f"memory after the flood, MB: {resident_mb(program.pid):.1f}")


if __name__ == "__main__":
    main()
