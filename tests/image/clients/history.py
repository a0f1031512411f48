"""Runs a small flow; the oldest Prefect 3 release can run this. Prints one JSON line.

With `until-recorded` it ends when the server has every task run: the client tells of them in events, and what its own
server has not written when the process ends is lost.
"""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
import sys

from prefect import flow, get_client, task
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId


@task
def double(number: int) -> int:
    return 2 * number


@flow(name="old-history")
def history() -> list[int]:
    return [double(number) for number in range(3)]


async def until_recorded(flow_run_id) -> None:
    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    async with get_client() as client:
        while True:
            runs = await client.read_task_runs(flow_run_filter=this_run)
            if [run.state_name for run in runs] == ["Completed"] * 3:
                return
            await asyncio.sleep(0.5)


state = history(return_state=True)
if "until-recorded" in sys.argv:
    asyncio.run(until_recorded(state.state_details.flow_run_id))
print(json.dumps({"result": state.result()}))
