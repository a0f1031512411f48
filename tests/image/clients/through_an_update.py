"""Everything that uses a server, while that server is updated: run until a line comes in. Prints one JSON line.

Ten flows that run all the time, a served deployment and a worker's deployment with schedules, a reactive automation
on an event a second and a proactive one. Prints "ready" first.
"""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json
import sys
import threading
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prefect import aserve, flow, get_client, task
from prefect.blocks.webhook import Webhook
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter
from prefect.events import emit_event
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.flows import Flow
from prefect.workers.process import ProcessWorker

called: list[str] = []
WITHIN = timedelta(seconds=10)


class Listener(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self) -> None:
        """Take one call."""
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        called.append(json.loads(text)["what"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_) -> None:
        """Say nothing."""


@task
async def step(seconds: float) -> None:
    await asyncio.sleep(seconds)


@flow(name="running", log_prints=True)
async def running() -> None:
    for _ in range(2):
        await step(8.0)
        print("still here")


@flow(name="served")
async def served() -> None:
    await step(1.0)


@flow(name="worked")
async def worked() -> None:
    await step(1.0)


async def automate(hook_url: str) -> None:
    """Call the listener once for each tick, and once whenever ten seconds passed without a thing that never comes."""
    block = await Webhook(method="POST", url=hook_url, allow_private_urls=True).save("local", overwrite=True)
    tick = EventTrigger(
        expect={"tick"},
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    silence = EventTrigger(expect={"never"}, posture=Posture.Proactive, threshold=1, within=WITHIN)
    async with get_client() as client:
        # Those of earlier users of the same server would call this listener as well.
        for earlier in await client.read_automations():
            await client.delete_automation(earlier.id)
        for name, trigger, what in (("ticks", tick, "{{ event.resource.id }}"), ("silence", silence, "silence")):
            action = CallWebhook(block_document_id=block, payload=f'{{"what": "{what}"}}')
            await client.create_automation(AutomationCore(name=name, trigger=trigger, actions=[action]))


async def keep(function, over: asyncio.Event, failed: Counter) -> None:
    """Run a flow again and again."""
    while not over.is_set():
        try:
            await function()
        except Exception as error:  # noqa: BLE001  # whatever a user of the server would see
            failed[f"{function.name}: {type(error).__name__} {str(error)[:200]}"] += 1


async def ticking(over: asyncio.Event, sent: list[str]) -> None:
    while not over.is_set():
        sent.append(f"tick-{len(sent)}")
        emit_event("tick", resource={"prefect.resource.id": sent[-1]})
        await asyncio.sleep(1.0)


async def deploy() -> tuple[asyncio.Task, asyncio.Task]:
    """Serve one deployment, and let a worker run another."""
    here = await served.ato_deployment(name="here", interval=timedelta(seconds=30))
    source = await Flow.afrom_source(source=str(Path(__file__).parent), entrypoint=f"{Path(__file__).name}:worked")
    async with get_client() as client:
        await client.create_work_pool(WorkPoolCreate(name="pool", type="process"), overwrite=True)
    await source.adeploy(
        name="there", work_pool_name="pool", build=False, push=False, print_next_steps=False, interval=45
    )
    serving = asyncio.create_task(aserve(here, pause_on_shutdown=False))
    worker = asyncio.create_task(ProcessWorker(work_pool_name="pool", name="a-worker").start())
    return serving, worker


async def until(done, seconds: float) -> None:
    """Wait until `done()` or the time is over."""
    for _ in range(int(seconds * 4)):
        if await done():
            return
        await asyncio.sleep(0.25)


async def rest() -> None:
    """Schedule nothing more, and let what has begun end: it would be cut off with those who run it."""
    under_way = FlowRunFilter(state={"type": {"any_": ["PENDING", "RUNNING"]}})
    async with get_client() as client:
        for name in ("served/here", "worked/there"):
            await client.pause_deployment((await client.read_deployment_by_name(name)).id)

        async def over() -> bool:
            return not await client.read_flow_runs(flow_run_filter=under_way)

        await until(over, 120)


async def main() -> None:
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    await automate(f"http://127.0.0.1:{listener.server_port}/")
    lasting = await deploy()
    over, failed, sent = asyncio.Event(), Counter(), []
    # Until the services know the automation, an event is not looked at: the first that is marks the beginning.
    while "probe" not in called:
        emit_event("tick", resource={"prefect.resource.id": "probe"})
        await asyncio.sleep(2.0)
    running_flows = [asyncio.create_task(keep(running, over, failed)) for _ in range(10)]
    ticks = asyncio.create_task(ticking(over, sent))
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    over.set()
    await asyncio.gather(*running_flows, ticks)

    async def all_called() -> bool:
        return not set(sent) - set(called)

    await until(all_called, 200)
    await rest()
    for each in lasting:
        each.cancel()
        with suppress(BaseException):  # its cancellation, or what it came upon when it was cut off: all is over
            await asyncio.wait_for(each, 30)
    times = Counter(called)
    result = {
        "failed": dict(failed),
        "ticks": len(sent),
        "missed": sorted(set(sent) - set(times)),
        "repeated": sorted(tick for tick in sent if times[tick] > 1),
        "silences": times["silence"],
    }
    print(json.dumps(result), flush=True)


# A flow run imports this file again.
if __name__ == "__main__":
    asyncio.run(main())
