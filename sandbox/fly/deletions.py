"""Apps on their way out: deleting one is accepted at once and over later."""

from __future__ import annotations

import asyncio

from sandbox.edge import Edge
from sandbox.fly.fleet import Fleet
from sandbox.fly.models import App


class Deletions:
    """What is being deleted.

    Args:
        fleet: the machines, which go first, and the apps.
        edge: told when an app's name ceases to lead anywhere.
    """

    def __init__(self, fleet: Fleet, edge: Edge) -> None:
        self._fleet = fleet
        self._state = fleet.state
        self._edge = edge
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def begin(self, app: App) -> None:
        """Begin to delete an app; asked again, nothing more happens."""
        if app.name in self._under_way:
            return
        app.deleting = True
        self._edge.refresh(app.name)
        task = asyncio.create_task(self._delete(app))
        self._under_way[app.name] = task
        task.add_done_callback(lambda _: self._under_way.pop(app.name, None))

    def resume(self) -> None:
        """Go on, after a restart of the sandbox, with what was under way."""
        for app in self._state.apps.values():
            if app.deleting:
                self.begin(app)

    async def stop(self) -> None:
        """Leave what is under way as it is."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _delete(self, app: App) -> None:
        await self._fleet.destroy_all(app)
        await self._state.clock.sleep(self._state.options.delete_seconds)
        if self._state.apps.get(app.name) is app:
            del self._state.apps[app.name]
        self._edge.refresh(app.name)
