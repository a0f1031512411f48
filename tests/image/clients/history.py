"""Runs a small flow; the oldest Prefect 3 release can run this. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import json

from prefect import flow, task


@task
def double(number: int) -> int:
    return 2 * number


@flow(name="old-history")
def history() -> list[int]:
    return [double(number) for number in range(3)]


print(json.dumps({"result": history()}))
