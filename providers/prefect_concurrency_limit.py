"""prefect:ConcurrencyLimit: a global limit by name, or the limit of task runs with a tag.

A limit has no place for a mark. One that is there already is adopted when it is just as stated, which is what an answer
that got lost leaves behind, and refused otherwise.
"""

from __future__ import annotations

from typing import Any

from clients.prefect_api.client import PrefectApi
from clients.prefect_api.objects import Found, Objects
from providers.lifecycle import Props, plain
from providers.prefect_object import PrefectObjectProvider, differs
from providers.prefect_resource import PrefectResource

TAG = "tag"


class ConcurrencyLimitProvider(PrefectObjectProvider):
    """Keeps one limit as stated."""

    what = "concurrency limit"
    settings = ("scope", "limit", "slot_decay_per_second", "active")
    replaces = ("endpoints", "name", "scope")

    def find(self, api: PrefectApi, props: Props) -> Found | None:
        """Return the limit of this name, if it is just as stated."""
        found = _limits(api, props).find(props["name"])
        if found and differs(props, {**props, **self.seen(found, props)}, self.settings):
            raise self.foreign(props, "it is on the server already, and not as the stack states it")
        return found

    def get(self, api: PrefectApi, id_: str, props: Props) -> Found:
        """Return the limit."""
        return _limits(api, props).get(id_, props["name"])

    def make(self, api: PrefectApi, props: Props) -> Found:
        """Make it."""
        return _limits(api, props).create(props["name"], _body(props))

    def change(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Change it in place; the limit of a tag is made anew over the old one, which keeps its slots."""
        if props["scope"] == TAG:
            self.make(api, props)
        else:
            api.limits.update(id_, props["name"], _body(props))

    def remove(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Remove it."""
        _limits(api, props).delete(id_, props["name"])

    def seen(self, found: Found, props: Props) -> dict[str, Any]:
        """Return what the server has of it."""
        if props["scope"] == TAG:
            return plain({"limit": found.get("concurrency_limit")})
        return plain({key: found.get(key) for key in ("limit", "slot_decay_per_second", "active")})


def _limits(api: PrefectApi, props: Props) -> Objects:
    return api.tag_limits if props["scope"] == TAG else api.limits


def _body(props: Props) -> dict[str, Any]:
    stated = plain(props)
    if stated["scope"] == TAG:
        return {"tag": stated["name"], "concurrency_limit": stated["limit"]}
    return {key: stated[key] for key in ("name", "limit", "slot_decay_per_second", "active")}


class ConcurrencyLimit(PrefectResource, module="prefect", name="ConcurrencyLimit"):
    """A limit: `scope` global or tag, `limit` slots; of a global one also `slot_decay_per_second` and `active`."""

    provider = ConcurrencyLimitProvider
