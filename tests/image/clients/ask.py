"""A stock client asks one question. Prints one JSON line: what came of it."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import asyncio
import json

from prefect import get_client
from prefect.exceptions import PrefectHTTPStatusError


async def main() -> None:
    async with get_client() as client:
        try:
            outcome = f"{len(await client.read_flows())} flows"
        except PrefectHTTPStatusError as error:
            outcome = error.response.status_code
        print(json.dumps({"outcome": outcome}))


asyncio.run(main())
