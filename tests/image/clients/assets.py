"""A flow that materialises an asset. Prints one JSON line: the names of the asset's events that reached the server."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json

from prefect import flow, get_client
from prefect.assets import materialize

ASSET = "s3://bucket/gate-test"


@materialize(ASSET)
def write() -> int:
    return 1


@flow(name="assets")
def assets() -> int:
    return write()


async def main() -> None:
    await asyncio.to_thread(assets)
    wanted = {"filter": {"event": {"prefix": ["prefect.asset.materialization"]}, "resource": {"id": [ASSET]}}}
    names = []
    for _ in range(300):
        async with get_client() as client:
            reply = await client._client.post("/events/filter", json=wanted)
        names = sorted({event["event"] for event in reply.json()["events"]})
        if names:
            break
        await asyncio.sleep(0.2)
    print(json.dumps({"events": names}))


asyncio.run(main())
