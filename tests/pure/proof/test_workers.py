"""Who plays what: workers that are threads, and one whose process dies."""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from proof.workers import Task, Worker, Workers
from proof.worlds import Worlds


class Dead(Executor):
    """A pool whose process has died."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        """Return a future that says so."""
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("died"))
        return future


def _task(operation: str, number: int, played: dict[int, list[str]]) -> Task[int]:
    def run(_worlds: Worlds) -> int:
        played[threading.get_ident()].append(operation)
        return number

    return Task(name=f"{operation} {number}", operation=operation, run=run)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_worker_stays_with_an_operation_until_nothing_of_it_is_left(count: int, tmp_path: Path) -> None:
    """Everything is played once, and nobody comes back to an operation; with a worker each, all begin at once."""
    played: dict[int, list[str]] = defaultdict(list)
    tasks = [_task(operation, number, played) for number in range(20) for operation in ("up", "resize", "destroy")]
    with ExitStack() as pools:
        every = [Worker(pools.enter_context(ThreadPoolExecutor(1))) for _ in range(count)]
        over = [(task.name, future.result()) for task, future in Workers(every, tmp_path).play(tasks)]
    assert sorted(over) == sorted((task.name, int(task.name.split()[1])) for task in tasks)
    for operations in played.values():
        turns = [operation for operation, _ in groupby(operations)]
        assert len(turns) == len(set(turns))
    assert len({operations[0] for operations in played.values()}) == min(count, 3)


def test_a_worker_that_died_is_given_nothing_more(tmp_path: Path) -> None:
    """What it had is said to be broken, and the others play the rest; with none left the rest is not played."""
    played: dict[int, list[str]] = defaultdict(list)
    tasks = [_task("up", number, played) for number in range(5)]
    with ThreadPoolExecutor(1) as pool:
        over = list(Workers([Worker(Dead()), Worker(pool)], tmp_path).play(tasks))
    broken = [task.name for task, future in over if future.exception()]
    assert len(over) == 5
    assert len(broken) == 1
    assert len(list(Workers([Worker(Dead())], tmp_path).play(tasks))) == 1


def test_a_task_is_played_in_the_workers_own_worlds(tmp_path: Path) -> None:
    """They are the same for all that a process plays."""
    with ThreadPoolExecutor(1) as pool:
        tasks = [Task(name=name, operation="up", run=partial(_itself, name)) for name in "ab"]
        found = [future.result() for _task, future in Workers([Worker(pool)], tmp_path).play(tasks)]
    assert [name for name, _worlds in found] == ["a", "b"]
    assert found[0][1] is found[1][1]
    assert found[0][1].folder == tmp_path


def _itself(name: str, worlds: Worlds) -> tuple[str, Worlds]:
    return name, worlds
