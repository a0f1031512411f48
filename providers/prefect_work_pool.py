"""prefect:WorkPool: one work pool, marked as ours in its description. Its queues and workers are not looked at."""

from __future__ import annotations

from typing import Any

from clients.names import mark_of
from clients.prefect_api.client import PrefectApi
from clients.prefect_api.objects import Found
from providers.lifecycle import Props, plain
from providers.prefect_object import PrefectObjectProvider
from providers.prefect_resource import PrefectResource

_CHANGED = ("description", "is_paused", "concurrency_limit")


class WorkPoolProvider(PrefectObjectProvider):
    """Keeps one work pool as stated."""

    what = "work pool"
    settings = ("pool_type", *_CHANGED)
    # The API cannot change a pool's type.
    replaces = ("endpoints", "name", "pool_type")

    def find(self, api: PrefectApi, props: Props) -> Found | None:
        """Return ours of this name."""
        found = api.work_pools.find(props["name"])
        if found and mark_of(props["owner"]) not in str(found.get("description")):
            raise self.foreign(props, "it is on the server already, and this stack did not make it")
        return found

    def get(self, api: PrefectApi, id_: str, props: Props) -> Found:
        """Return the pool."""
        return api.work_pools.get(id_, props["name"])

    def make(self, api: PrefectApi, props: Props) -> Found:
        """Make it."""
        body = {**_body(props), "name": props["name"], "type": props["pool_type"]}
        return api.work_pools.create(props["name"], body)

    def change(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Write what can be changed."""
        api.work_pools.update(id_, props["name"], _body(props))

    def remove(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Remove it, its queues with it."""
        api.work_pools.delete(id_, props["name"])

    def seen(self, found: Found, _props: Props) -> dict[str, Any]:
        """Return what the server has of it."""
        return {"pool_type": found.get("type"), **{key: found.get(key) for key in _CHANGED}}


def _body(props: Props) -> dict[str, Any]:
    # None takes a limit away, so that it must be sent as well.
    stated = plain(props)
    return {key: stated.get(key) for key in _CHANGED}


class WorkPool(PrefectResource, module="prefect", name="WorkPool"):
    """A work pool of `pool_type`, with `description`, which carries the mark, `is_paused` and `concurrency_limit`."""

    provider = WorkPoolProvider
