"""The order of a run, and what it says while it runs: each failure at once, and, when it is ended, what it was doing.

Without this a run that a time limit ends has said nothing of what failed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

from sandbox.core.ports import PORTS, VARIABLE

# The same examples in every run and no limit of time: no test depends on chance, or on being fast.
settings.register_profile(
    "repeatable",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("repeatable")

_LONGEST_FIRST = ("engine", "image", "contract", "sandbox", "pure")
_TESTS = Path(__file__).parent

_LOOP = asyncio.new_event_loop()
_running: set[str] = set()
_failed: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker its own ports; listen for the end of the time in the process that reports.

    A sandbox that is stopped and started again has the ports of before: no other worker may have taken one meanwhile.
    """
    if not hasattr(config, "workerinput"):
        signal.signal(signal.SIGTERM, _ended)
        return
    worker, workers = config.workerinput["workerid"].removeprefix("gw"), config.workerinput["workercount"]
    width = len(PORTS) // workers
    first = PORTS.start + int(worker) * width
    os.environ[VARIABLE] = f"{first}-{first + width - 1}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the rings with the longest tests first, so that no worker is left alone with one at the end."""
    items.sort(key=_ring)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Give each test the same event loop to find, which Pulumi takes for granted.

    asyncio.run() takes it away, and one that is dropped unclosed is a warning in some later test.
    """
    asyncio.set_event_loop(_LOOP)


def pytest_runtest_logstart(nodeid: str) -> None:
    """Remember what is running."""
    _running.add(nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    """Forget it."""
    _running.discard(nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> Generator[None, None, None]:
    """Print a failure when it happens."""
    yield
    if report.failed and _reports():
        _failed.append(f"{report.nodeid} ({report.when})")
        sys.stderr.write(f"\n=== FAILED {report.nodeid} ({report.when})\n{report.longreprtext}\n\n")
        sys.stderr.flush()


def _ring(item: pytest.Item) -> int:
    return _LONGEST_FIRST.index(item.path.relative_to(_TESTS).parts[0])


def _reports() -> bool:
    return signal.getsignal(signal.SIGTERM) is _ended


def _ended(_number: int, _frame: FrameType | None) -> None:
    lines = [
        "",
        "=== this run was ended before it was done",
        f"failed so far: {len(_failed)}",
        *(f"  {text}" for text in _failed),
        f"running: {len(_running)}",
        *(f"  {text}" for text in sorted(_running)),
        "",
    ]
    sys.stderr.write("\n".join(lines))
    sys.stderr.flush()
    raise KeyboardInterrupt
