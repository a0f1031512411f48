"""What those who use the server notice of an update of its only machine: blue/green, and in place.

Run `.venv/bin/python -m toolchain run .venv/bin/python -m bench.updates [environment-rolling …]`.
A real Prefect server on a machine of the sandbox, a real Postgres; 20 requests a second through the edge, ten
flows that run all the time, a served deployment and a worker's with schedules, and two automations. Five updates, one
after the other, under that load.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from sandbox.fly import FlyOptions
from sandbox.testing import running_sandbox
from tests.support.fly_world import ORG
from tests.support.update_world import Updating, load_of, serving, updating, users

PAUSE = 10.0
CHOSEN = sys.argv[1:]
Update = tuple[str, str, dict[str, object]]
UPDATES: tuple[Update, ...] = (
    ("environment", "bluegreen", {"env": "1"}),
    ("size", "bluegreen", {"memory": 512}),
    ("secret", "bluegreen", {"secret": "second"}),
    ("region", "bluegreen", {"region": "fra"}),
    ("environment", "rolling", {"env": "2"}),
)


def measure(world: Updating, what: str, strategy: str, changes: dict[str, object]) -> None:
    """Make one update under load and print what was noticed."""
    with load_of(world.url) as load:
        time.sleep(PAUSE)
        region = changes.get("region")
        seconds = world.move(str(region)) if region else world.update(strategy, **changes)  # type: ignore[arg-type]
        time.sleep(PAUSE)
    gap = max(load.bad) - min(load.bad) if load.bad else 0.0
    total = sum(load.answers.values())
    print(
        f"| {what} | {strategy} | {seconds:.1f} s | {total - load.answers['200']} of {total} | {gap:.1f} s | "
        f"{load.slowest:.1f} s | {dict(load.answers)}",
        flush=True,
    )


def _name(update: Update) -> str:
    return f"{update[0]}-{update[1]}"


def main() -> None:
    """Run all."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        options = FlyOptions(org=ORG, exact_rate_limits=True)
        with running_sandbox(home / "sandbox", driver="process", fly=options, postgres=True, filled=False) as sandbox:
            os.environ.update(sandbox.env())
            with updating(sandbox, home / "world") as world:
                serving(world)
                for chosen in ("bluegreen", "rolling"):
                    mine = [each for each in UPDATES if each[1] == chosen and (not CHOSEN or _name(each) in CHOSEN)]
                    if not mine:
                        continue
                    # Each kind with users of its own, so that what they missed is its own.
                    with users(world) as seen:
                        for what, strategy, changes in mine:
                            measure(world, what, strategy, changes)
                    print(chosen, seen, world.states(), flush=True)
                    print("scheduled twice", world.scheduled_twice(), "fired twice", world.fired_twice(), flush=True)


if __name__ == "__main__":
    main()
