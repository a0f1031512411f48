"""Cases in processes of their own: the program runs in them, and each has its own variables."""

from __future__ import annotations

import functools
import multiprocessing
import tempfile
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from proof.worlds import Worlds

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Task(Generic[T]):
    """Something to be played in a world of an operation; `run` is sent to the process that does it."""

    name: str
    operation: str
    run: Callable[[Worlds], T]


@dataclass
class Worker:
    """One process, which does one thing at a time; `operation` is what it did last, and has a world for."""

    pool: Executor
    operation: str = ""


@dataclass
class Workers:
    """Processes, each with worlds of its own below `folder`."""

    every: list[Worker]
    folder: Path

    def play(self, tasks: Iterable[Task[T]]) -> Iterator[tuple[Task[T], Future[T]]]:
        """Play everything, and yield each task when it is over.

        A worker stays with an operation while there is something of it: a world for another one takes as long as a
        case. One whose process has died is given nothing more.
        """
        left: dict[str, deque[Task[T]]] = defaultdict(deque)
        for task in tasks:
            left[task.operation].append(task)
        idle, running = list(self.every), dict[Future[T], tuple[Worker, Task[T]]]()
        while running or (idle and left):
            while idle and left:
                worker = next((each for each in idle if each.operation in left), idle[0])
                idle.remove(worker)
                if worker.operation not in left:
                    worker.operation = _most_wanted(left, [worker for worker, _task in running.values()])
                task = left[worker.operation].popleft()
                if not left[worker.operation]:
                    del left[worker.operation]
                running[worker.pool.submit(_in_worlds, task.run, self.folder)] = worker, task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, task = running.pop(future)
                if not isinstance(future.exception(), BrokenExecutor):
                    idle.append(worker)
                yield task, future


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Keep that many for as long as the block lasts; what has not begun at its end never does."""
    with (
        tempfile.TemporaryDirectory(prefix="prefect-fly-proof-", ignore_cleanup_errors=True) as folder,
        ExitStack() as pools,
    ):
        # Started anew: what this process has running is not for them.
        context = multiprocessing.get_context("spawn")
        every = [Worker(pools.enter_context(ProcessPoolExecutor(1, context))) for _ in range(count)]
        yield Workers(every, Path(folder))


def _most_wanted(left: dict[str, deque[Task[T]]], busy: Iterable[Worker]) -> str:
    """Return the operation that has most tasks for each worker on it."""
    at = Counter(worker.operation for worker in busy)
    return max(left, key=lambda operation: len(left[operation]) / (1 + at[operation]))


def _in_worlds(run: Callable[[Worlds], T], folder: Path) -> T:
    return run(_worlds(folder))


@functools.cache
def _worlds(folder: Path) -> Worlds:
    return Worlds(folder)
