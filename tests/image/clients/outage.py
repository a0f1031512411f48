"""Runs small flows inside a flow until a file appears, and counts them in another. Prints one JSON line."""

# mypy: ignore-errors
# It runs in Prefect's own environment, which the checks do not have.

import json
import sys
from pathlib import Path

from prefect import flow, task

COUNTED, DONE = map(Path, sys.argv[1:3])


@task
def double(number: int) -> int:
    return 2 * number


@flow(name="inner")
def inner(number: int) -> int:
    return double(number)


@flow(name="outer")
def outer() -> int:
    number = 0
    while not DONE.exists():
        assert inner(number) == 2 * number
        number += 1
        COUNTED.write_text(str(number))
    return number


print(json.dumps({"inner": outer()}))
