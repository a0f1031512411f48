"""How a run lives: queued, perhaps waiting for an approval, in progress, completed; all on the sandbox's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from sandbox.core.clock import Clock
from sandbox.github.models import Repository, Run, Script, Status, Workflow
from sandbox.github.state import GitHubState

Changed = Callable[[], None]


class RunHook(Protocol):
    """What a workflow really does; its conclusion becomes the run's unless a script says otherwise."""

    def __call__(self, workflow: Workflow, run: Run) -> Awaitable[str]:
        """Do the work of the run and return its conclusion."""
        ...


class Runner:
    """Walks runs to their end; `on_run` is set by whoever assembles the sandbox."""

    def __init__(self, state: GitHubState, clock: Clock, changed: Changed) -> None:
        self.on_run: RunHook | None = None
        self._state = state
        self._clock = clock
        self._changed = changed
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._decisions: dict[int, asyncio.Future[bool]] = {}

    def start(self, repository: Repository, workflow: Workflow, ref: str, inputs: dict[str, str]) -> Run:
        """Create a run and let it live."""
        script = self._state.take_script()
        now = self._clock.time()
        title = inputs.get(workflow.title_input or "", "")
        run = Run(
            id=self._state.next_id(),
            number=sum(each.workflow_id == workflow.id for each in repository.runs) + 1,
            workflow_id=workflow.id,
            head_branch=ref,
            head_sha=repository.branches[ref],
            title=f"{workflow.name} {title}".strip(),
            inputs=inputs,
            created_at=now,
            updated_at=now,
            visible_at=now + script.invisible,
        )
        repository.runs.insert(0, run)
        self._loop = asyncio.get_running_loop()
        if script.approval:
            self._decisions[run.id] = self._loop.create_future()
        task = asyncio.create_task(self._live(workflow, run, script))
        self._tasks[run.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(run.id, None))
        return run

    def decide(self, run_id: int, *, approved: bool) -> bool:
        """Approve or reject a waiting run, from any thread; False when it does not wait for anybody."""
        decision = self._decisions.get(run_id)
        if decision is None or self._loop is None:
            return False
        self._loop.call_soon_threadsafe(_settle, decision, approved)
        return True

    def cancel(self, run: Run) -> bool:
        """Cancel a run; False when it is over."""
        task = self._tasks.get(run.id)
        if task is None:
            return False
        task.cancel()
        self._end(run, "cancelled")
        return True

    async def stop(self) -> None:
        """Drop all runs that are under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._decisions.clear()

    async def _live(self, workflow: Workflow, run: Run, script: Script) -> None:
        await self._clock.sleep(script.queued)
        if script.approval:
            self._move(run, "waiting")
            approved = await self._decisions[run.id]
            del self._decisions[run.id]
            if not approved:
                self._end(run, "failure")
                return
        run.started_at = self._clock.time()
        self._move(run, "in_progress")
        conclusion = script.conclusion
        if conclusion is None and self.on_run is not None:
            conclusion = await self.on_run(workflow, run)
        await self._clock.sleep(run.started_at + script.running - self._clock.time())
        self._end(run, conclusion or "success")

    def _move(self, run: Run, status: Status) -> None:
        run.status = status
        run.updated_at = self._clock.time()
        self._changed()

    def _end(self, run: Run, conclusion: str) -> None:
        run.conclusion = conclusion
        self._move(run, "completed")


def _settle(decision: asyncio.Future[bool], approved: bool) -> None:
    if not decision.done():
        decision.set_result(approved)
