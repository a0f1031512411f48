"""`flow.serve()` as the orchestrator does it: a schedule and a triggered run. Prints one JSON line and ends itself."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import contextlib
import json
from datetime import timedelta

from prefect import aserve, flow, get_client, task
from prefect.client.schemas.filters import FlowRunFilter
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound


@task
def step() -> str:
    return "done"


@flow(name="served")
def served(word: str = "scheduled") -> str:
    step()
    return word


async def main() -> None:
    deployment = await served.ato_deployment(name="here", interval=timedelta(seconds=10))
    serving = asyncio.create_task(aserve(deployment, pause_on_shutdown=False))
    async with get_client() as client:
        # The server may hold other tests' deployments: this one is waited for by name.
        ours = None
        for _ in range(1500):
            with contextlib.suppress(ObjectNotFound):
                ours = await client.read_deployment_by_name("served/here")
                break
            await asyncio.sleep(0.2)
        triggered = await run_deployment("served/here", parameters={"word": "triggered"}, timeout=600, as_subflow=False)
        names = {}
        for _ in range(1500):
            runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(state={"name": {"any_": ["Completed"]}}))
            names = {
                ("scheduled" if run.auto_scheduled else "triggered")
                for run in runs
                if ours and run.deployment_id == ours.id
            }
            if names == {"scheduled", "triggered"}:
                break
            await asyncio.sleep(0.2)
        print(json.dumps({"triggered": triggered.state.name, "completed": sorted(names)}), flush=True)
    serving.cancel()


# A flow run imports this file again.
if __name__ == "__main__":
    asyncio.run(main())
