"""Cases in processes of their own: the program runs in them, and each has its own variables."""

from __future__ import annotations

import functools
import multiprocessing
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proof.sweep import Case, Clean, Outcome, clean_run, run_case
from proof.worlds import Worlds


@dataclass(frozen=True)
class Workers:
    """Processes, each with worlds of its own below `folder`."""

    pool: Executor
    folder: Path

    def clean_run(self, operation: str) -> Future[Clean]:
        """Let one of them run an operation without a fault."""
        return self.pool.submit(_clean_run, operation, self.folder)

    def run_case(self, case: Case, clean: Clean) -> Future[Outcome]:
        """Let one of them play a case."""
        return self.pool.submit(_run_case, case, clean, self.folder)


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Keep that many for as long as the block lasts; what has not begun at its end never does."""
    with tempfile.TemporaryDirectory(prefix="prefect-fly-proof-", ignore_cleanup_errors=True) as folder:
        # Started anew: what this process has running is not for them.
        pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"))
        try:
            yield Workers(pool, Path(folder))
        finally:
            pool.shutdown(cancel_futures=True)


def _clean_run(operation: str, folder: Path) -> Clean:
    return clean_run(operation, _worlds(folder))


def _run_case(case: Case, clean: Clean, folder: Path) -> Outcome:
    return run_case(case, clean, _worlds(folder))


@functools.cache
def _worlds(folder: Path) -> Worlds:
    return Worlds(folder)
