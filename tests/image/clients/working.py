"""A process worker as `prefect worker start` runs it: is seen online and runs a flow run. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
from pathlib import Path

from prefect import flow, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.deployments import run_deployment
from prefect.flows import Flow
from prefect.workers.process import ProcessWorker


@flow(name="worked")
def worked() -> str:
    return "done"


async def main() -> None:
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="pool", type="process"))
        source = await Flow.afrom_source(source=str(Path(__file__).parent), entrypoint="working.py:worked")
        deploy = getattr(source, "adeploy", source.deploy)  # an older client has one method for both
        await deploy(name="there", work_pool_name="pool", build=False, push=False, print_next_steps=False)
        worker = asyncio.create_task(ProcessWorker(work_pool_name="pool", name="a-worker").start())
        run = await run_deployment("worked/there", timeout=600, as_subflow=False)
        workers = await client.read_workers_for_work_pool("pool")
        print(json.dumps({"run": run.state.name, "workers": [each.status for each in workers]}), flush=True)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main())
