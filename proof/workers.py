"""Cases in processes of their own: the program runs in them, and each has its own variables."""

from __future__ import annotations

import functools
import multiprocessing
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path

from proof.sweep import Case, Clean, Outcome, run_case
from proof.worlds import Worlds


def processes(count: int) -> Executor:
    """Return that many, each started anew: what this one has running is not for them."""
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))


def submit(workers: Executor, case: Case, clean: Clean, folder: Path) -> Future[Outcome]:
    """Let one of them play a case; the worlds that it makes lie below `folder`."""
    return workers.submit(_play, case, clean, folder)


def _play(case: Case, clean: Clean, folder: Path) -> Outcome:
    return run_case(case, clean, _worlds(folder))


@functools.cache
def _worlds(folder: Path) -> Worlds:
    return Worlds(folder)
