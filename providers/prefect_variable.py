"""prefect:Variable: one variable on the server, marked as ours by a tag."""

from __future__ import annotations

from typing import Any

from clients.names import mark_of
from clients.prefect_api.client import PrefectApi
from clients.prefect_api.objects import Found
from providers.lifecycle import Props, plain
from providers.prefect_object import PrefectObjectProvider
from providers.prefect_resource import PrefectResource


class VariableProvider(PrefectObjectProvider):
    """Keeps one variable as stated."""

    what = "variable"
    settings = ("value", "tags")

    def find(self, api: PrefectApi, props: Props) -> Found | None:
        """Return ours of this name."""
        found = api.variables.find(props["name"])
        if found and mark_of(props["owner"]) not in (found.get("tags") or []):
            raise self.foreign(props, "it is on the server already, and this stack did not make it")
        return found

    def get(self, api: PrefectApi, id_: str, props: Props) -> Found:
        """Return the variable."""
        return api.variables.get(id_, props["name"])

    def make(self, api: PrefectApi, props: Props) -> Found:
        """Make it."""
        return api.variables.create(props["name"], _body(props))

    def change(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Write value and tags."""
        api.variables.update(id_, props["name"], _body(props))

    def remove(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Remove it."""
        api.variables.delete(id_, props["name"])

    def seen(self, found: Found, _props: Props) -> dict[str, Any]:
        """Return value and tags."""
        return plain({"value": found.get("value"), "tags": list(found.get("tags") or [])})


def _body(props: Props) -> dict[str, Any]:
    stated = plain(props)
    return {key: stated.get(key) for key in ("name", "value", "tags")}


class Variable(PrefectResource, module="prefect", name="Variable"):
    """A variable: `value` is any JSON, `tags` hold the stack's mark."""

    provider = VariableProvider
