"""How fast /lineage opens with 10,000 assets and 50,000 edges, and what filling its tables costs.

Run `nice .venv/bin/python -m toolchain run .venv/bin/python -m bench.lineage [folder for pictures]`. A real
server on a real Postgres, and a headless Chromium that draws with the processor. The assets stand in twelve
layers; each reads about five of the layers before it, most of them near its own place. Seconds of the processor are
counted beside those of the clock: on a machine that is busy with other things only these can be compared.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from pathlib import Path
from statistics import median
from typing import Any

import requests

from proof.processes import cpu_seconds, resident_mb
from sandbox.postgres import PostgresServer
from tests.support.browser import Page, browser
from tests.support.postgres import running_postgres
from tests.support.prefect_server import SOURCE, Program, database_environment, hashed, run_verb, running
from toolchain.prefect_env import prefect_python

ASSETS, EDGES, LAYERS = 10_000, 50_000, 12
EVENTS, OPENINGS, FILLINGS, LOOKS_MORE = 2_000, 3, 3, 3
LOGIN = "admin:a-login"
HEADERS = {"Authorization": "Bearer a-login", "Accept-Encoding": "gzip"}
KEPT = f"localStorage.setItem('prefect-password', '{b64encode(LOGIN.encode()).decode()}')"
FILTERED = "document.getElementById('count').textContent.includes(' of ')"
FRAMES = """
(async () => {
  const view = window.lineageView, times = [], { x, y, scale } = view.camera;
  let before = performance.now(), moving = true;
  (async () => {
    for (const to of [{ x: x * 0.6, scale: scale * 2.5 }, { x: x * 1.4, y: y - 10, scale: 30 }, { x, y, scale }])
      await view.move(to, 1000);
    moving = false;
  })();
  while (moving) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    times.push(now - before);
    before = now;
  }
  return times.sort((a, b) => a - b);
})()
"""
EMIT = """
import asyncio, sys, uuid
from prefect.events import Event
from prefect.events.clients import get_events_client

def related(n):
    keys = [f"s3://bench/{(n * 7 + k) % 500}" for k in range(5)]
    assets = [{"prefect.resource.id": key, "prefect.resource.role": "asset"} for key in keys]
    return assets + [{"prefect.resource.id": f"prefect.flow-run.{uuid.uuid4()}", "prefect.resource.role": "flow-run"}]

async def main(number, every):
    async with get_events_client() as client:
        for n in range(number):
            resource = {"prefect.resource.id": f"s3://bench/{n % 500}", "prefect.resource.name": f"asset {n % 500}"}
            event = "prefect.asset.materialization.succeeded"
            if n % every:
                event = "prefect.task-run.Completed"
                resource = {"prefect.resource.id": f"prefect.task-run.{uuid.uuid4()}"}
            await client.emit(Event(event=event, resource=resource, related=related(n), payload={"rows": n}))

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""
FILL = """
import asyncio, json, os, sys, time
from contextlib import asynccontextmanager
from pathlib import Path
import asyncpg
from prefect_server.lineage.filling import Filler

def used(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9

async def main(url):
    connection = await asyncpg.connect(url)
    backend = await connection.fetchval("SELECT pg_backend_pid()")

    @asynccontextmanager
    async def borrow():
        yield connection

    async def cost(filler, rounds=1):
        before, added = used(backend) + time.process_time(), 0
        for _ in range(rounds):
            added += await filler.round()
        return (used(backend) + time.process_time() - before) / rounds, added

    async def fill():
        filled, added = await cost(Filler(borrow, schema="prefect", keep_days=90))
        return filled / added, added

    found = []
    for _ in range(int(sys.argv[2])):
        await connection.execute("TRUNCATE prefect_fly.asset, prefect_fly.asset_edge, prefect_fly.asset_run")
        new, added = await fill()
        await connection.execute("TRUNCATE prefect_fly.asset_run")
        known, _ = await fill()
        filler = Filler(borrow, schema="prefect", keep_days=90)
        again, _ = await cost(filler)
        idle, _ = await cost(filler, 100)
        found.append((new, known, again / added, idle))
    print(json.dumps([sorted(column)[len(column) // 2] for column in zip(*found)]))

asyncio.run(main(sys.argv[1]))
"""


def graph(seed: int = 1) -> tuple[list[tuple[str, str]], list[tuple[int, int]]]:
    """Keys with names, and edges between their places."""
    chance = random.Random(seed)  # noqa: S311 - a picture, no secret
    per_layer = ASSETS // LAYERS
    places = [(n, n // per_layer, n % 37) for n in range(ASSETS)]
    keys = [
        (f"s3://warehouse/layer-{layer:02d}/team-{team}/table-{n}.parquet", f"table {n}") for n, layer, team in places
    ]
    edges: set[tuple[int, int]] = set()
    while len(edges) < EDGES:
        downstream = chance.randrange(per_layer, ASSETS)
        upstream = int(downstream - per_layer * chance.choice((1, 1, 1, 2)) + chance.gauss(0, 40))
        if 0 <= upstream < (downstream // per_layer) * per_layer:
            edges.add((upstream, downstream))
    return keys, sorted(edges)


def fill(postgres: PostgresServer, database: str) -> None:
    """Put the graph into the tables."""
    keys, edges = graph()
    hours = "interval '1 hour'"
    assets = ",".join(
        f"('{key}', '{name}', now(), now() - {hours} * {n % 400}, {n % 25 != 0})" for n, (key, name) in enumerate(keys)
    )
    columns = "(key, name, first_at, last_at, last_succeeded)"
    postgres.execute(f"INSERT INTO prefect_fly.asset {columns} VALUES {assets}", database)  # noqa: S608 - made above
    pairs = ",".join(f"({u + 1}, {d + 1}, now())" for u, d in edges)
    postgres.execute(f"INSERT INTO prefect_fly.asset_edge (upstream, downstream, last_at) VALUES {pairs}", database)  # noqa: S608
    postgres.execute("ANALYZE", database)


def ask(program: Program) -> dict[str, object]:
    """What the JSON costs: the first time it is made, and when the server has it."""
    before, found, sent = resident_mb(program.pid), {}, b""
    for name in ("made", "kept"):
        began, used = time.monotonic(), cpu_seconds(program.pid)
        reply = requests.get(f"{program.api_url}/lineage", headers=HEADERS, timeout=60, stream=True)
        sent = reply.raw.read(decode_content=False)
        found[f"JSON {name}, s: clock, server's processor"] = [
            time.monotonic() - began,
            cpu_seconds(program.pid) - used,
        ]
    after = resident_mb(program.pid)
    return {**found, "JSON compressed, MB": len(sent) / 1e6, "server's memory, MB: before, after": [before, after]}


async def look(program: Program, pictures: Path | None) -> dict[str, object]:
    """Open the page with an empty cache and with what the browser kept, then move, choose and filter."""
    found: dict[str, object] = {}
    times = []
    for _ in range(OPENINGS):
        async with browser() as page:
            await page.go(f"{program.url}/lineage/icon.svg")
            await page.run(KEPT)
            times.append(await open_page(page, program))
    found["open, s: clock, processor"] = medians(times)
    async with browser() as page:
        await page.go(f"{program.url}/lineage/icon.svg")
        await page.run(KEPT)
        times = [await open_page(page, program) for _ in range(OPENINGS + 1)]
        found["open again, s: clock, processor"] = medians(times[1:])
        frames = await page.run(FRAMES)
        found["frame while moving, ms: median, worst"] = [frames[len(frames) // 2], frames[-1]]
        await save(page, pictures, "all")
        chosen = json.dumps(graph()[0][5000][0])
        choose = f"location.hash = 'asset=' + encodeURIComponent({chosen})"
        found["choose an asset, s"] = await timed(page, choose, "!document.getElementById('panel').hidden")
        await save(page, pictures, "chosen")
        found["filter by prefix, s"] = await timed(page, "location.hash = 'prefix=s3://warehouse/layer-03'", FILTERED)
        await save(page, pictures, "filtered")
    return found


def medians(rows: list[list[float]]) -> list[float]:
    """The median of each column."""
    return [median(column) for column in zip(*rows, strict=True)]


async def save(page: Page, folder: Path | None, name: str) -> None:
    """Keep a picture of what is seen a moment later."""
    if folder:
        await asyncio.sleep(2)
        await page.picture(folder / f"lineage-{name}.png")


async def open_page(page: Page, program: Program) -> list[float]:
    """Seconds from the navigation until the graph is on the screen, and of the processor for that."""
    await page.go("about:blank")
    used = cpu_seconds(page.pid)
    await page.go(f"{program.url}/lineage")
    await page.until("performance.getEntriesByName('lineage-shown').length")
    used = cpu_seconds(page.pid) - used
    return [await page.run("performance.getEntriesByName('lineage-shown')[0].startTime") / 1000, used]


async def timed(page: Page, action: str, condition: str) -> float:
    """Seconds from an action until a condition holds and a frame was drawn."""
    await page.run(f"window.began = performance.now(); {action}")
    await page.until(condition)
    seen = await page.run("new Promise(requestAnimationFrame).then(() => performance.now() - window.began)")
    return float(seen) / 1000


def taking(program: Program, postgres: PostgresServer, every: int) -> float:
    """Processor seconds that the server and the database need for an event when each `every`th is a materialisation."""
    environ = program.client_environment(PREFECT_API_KEY="a-login", PREFECT_API_AUTH_STRING=LOGIN)
    count = "SELECT count(*) FROM prefect_fly.asset_run"
    wanted = int(postgres.execute(count, "bench")) + EVENTS // every
    used = cpu_seconds(program.pid) + cpu_seconds(postgres.pid or 0)
    subprocess.run([prefect_python(), "-c", EMIT, str(EVENTS), str(every)], env=environ, check=True)
    while int(postgres.execute(count, "bench")) < wanted:
        time.sleep(1)
    return (cpu_seconds(program.pid) + cpu_seconds(postgres.pid or 0) - used) / EVENTS


def taking_over(program: Program, postgres: PostgresServer, url: str) -> dict[str, object]:
    """What the server and the database do for events, and which part of it is ours."""
    mixtures: dict[int, list[float]] = {1: [], 5: []}
    for _ in range(FILLINGS):
        for every, found in mixtures.items():
            found.append(taking(program, postgres, every))
    program.stop()
    argv = [str(prefect_python()), "-c", FILL, url, str(FILLINGS)]
    done = subprocess.run(argv, cwd=SOURCE, env=program.environ, capture_output=True, text=True, check=True)
    new, known, again, idle = json.loads(done.stdout)
    graphs = {"": known, ", assets and edges new": new}
    parts = {
        f"one event in {every} a materialisation{graph}, ms: all, filling; %": [
            1000 * median(found),
            1000 * (filled + LOOKS_MORE * again) / every,
            100 * (filled + LOOKS_MORE * again) / every / median(found),
        ]
        for every, found in mixtures.items()
        for graph, filled in graphs.items()
    }
    return {**parts, "a round without news, ms of the processor": 1000 * idle}


def main() -> None:
    """Measure and print."""
    pictures = Path(sys.argv[1]) if sys.argv[1:] else None
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder) / "postgres") as postgres:
        home = Path(folder)
        url = postgres.create_database("bench")
        run_verb("migrate", home, database_environment(url))
        fill(postgres, "bench")
        environ = database_environment(url) | {"PREFECT_FLY_API_KEYS": hashed({"admin": "a-login"})}
        found: dict[str, Any] = {f"load of {os.cpu_count()} processors": list(os.getloadavg())}
        with running(Program(home, environ)) as program:
            found |= ask(program)
            found |= asyncio.run(look(program, pictures))
            found |= taking_over(program, postgres, url)
    for name, value in found.items():
        numbers = value if isinstance(value, list) else [value]
        print(f"{name:50} {'  '.join(f'{number:.3g}' for number in numbers)}")


if __name__ == "__main__":
    main()
