"""A stock client's whole day: a flow with tasks and logs, a custom event out and back. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
from uuid import UUID

from prefect import flow, get_client, get_run_logger, task
from prefect.client.schemas.filters import FlowRunFilter, LogFilter, LogFilterFlowRunId
from prefect.events import emit_event
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter
from prefect.runtime import flow_run as current


@task
def double(number: int) -> int:
    get_run_logger().info("doubling %d", number)
    return 2 * number


@flow(name="round-trip")
def round_trip() -> str:
    assert [double(number) for number in range(3)] == [0, 2, 4]
    assert double.submit(4).result() == 8
    return str(current.id)


async def eventually(ask, enough):
    for _ in range(1000):
        found = await ask()
        if enough(found):
            return found
        await asyncio.sleep(0.2)
    return found


async def main() -> None:
    heard: list[str] = []
    subscribed = asyncio.Event()

    async def listen() -> None:
        event_filter = EventFilter(event=EventNameFilter(name=["gate.test"]))
        async with get_events_subscriber(filter=event_filter) as events:
            subscribed.set()
            async for event in events:
                heard.append(event.payload["word"])
                return

    listener = asyncio.create_task(listen())
    await asyncio.wait_for(subscribed.wait(), 600)
    emit_event("gate.test", resource={"prefect.resource.id": "gate.test"}, payload={"word": "back again"})
    run_id = UUID(await asyncio.to_thread(round_trip))
    await asyncio.wait_for(listener, 600)
    only_this = FlowRunFilter(id={"any_": [run_id]})
    async with get_client() as client:
        tasks = await eventually(
            lambda: client.read_task_runs(flow_run_filter=only_this),
            lambda found: [each.state_name for each in found] == ["Completed"] * 4,
        )
        logs = await eventually(
            lambda: client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))),
            lambda found: sum("doubling" in each.message for each in found) == 4,
        )
        run = await client.read_flow_run(run_id)
    print(
        json.dumps(
            {
                "run": run.state_name,
                "tasks": [each.state_name for each in tasks],
                "logs": sum("doubling" in each.message for each in logs),
                "heard": heard,
            }
        )
    )


asyncio.run(main())
