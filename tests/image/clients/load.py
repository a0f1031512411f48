"""Many small flow runs at once: `load.py 200 10`, or with one of FLOWS as a third word. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
import sys
import time

from prefect import Flow, flow, get_client, task
from prefect.assets import materialize
from prefect.client.schemas.filters import FlowRunFilter


@task
async def step(number: int) -> int:
    return number


@flow(name="load", log_prints=False)
async def load(number: int) -> int:
    return await step(number)


@materialize("s3://load/table", asset_deps=["s3://load/source"])
async def write(number: int) -> int:
    return number


@flow(name="load-assets", log_prints=False)
async def load_assets(number: int) -> int:
    return await write.with_options(assets=[f"s3://load/table-{number % 50}"])(number)


@flow(name="load-ten-tasks", log_prints=False)
async def load_ten_tasks(number: int) -> int:
    for _ in range(10):
        await step(number)
    return number


FLOWS = {"assets": load_assets, "ten-tasks": load_ten_tasks}


async def main(runs: int, together: int, load: Flow) -> None:
    places = asyncio.Semaphore(together)
    begun = time.monotonic()

    async def one(number: int) -> int:
        async with places:
            return await load(number)

    assert sorted(await asyncio.gather(*(one(number) for number in range(runs)))) == list(range(runs))
    seconds = time.monotonic() - begun
    completed = FlowRunFilter(state={"name": {"any_": ["Completed"]}})
    async with get_client() as client:
        found = await client.count_flow_runs(flow_run_filter=completed)
    print(json.dumps({"completed": found, "seconds": round(seconds, 1)}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), FLOWS[sys.argv[3]] if sys.argv[3:] else load))
