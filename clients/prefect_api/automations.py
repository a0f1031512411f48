"""Automations. Their names are not unique on a server: they are found by name and told apart by their description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from clients.prefect_api.objects import Found, many, one
from clients.transport import Call
from clients.wire import Wire

_ROUTE = "/automations/"
_PAGE = 200


@dataclass(frozen=True)
class Automations:
    """The automations of a server."""

    wire: Wire

    def find(self, name: str) -> list[Found]:
        """Return all automations of that name.

        Raises:
            PrefectApiError: the API does not say.
        """
        return self._filter(f'look for automation "{name}"', {"automations": {"name": {"any_": [name]}}, "limit": 50})

    def all(self) -> list[Found]:
        """Return every automation of the server, people's own as well.

        Raises:
            PrefectApiError: the API does not say.
        """
        found: list[Found] = []
        while True:
            page = self._filter("list the automations", {"limit": _PAGE, "offset": len(found)})
            found += page
            if len(page) < _PAGE:
                return found

    def get(self, id_: str, name: str) -> Found:
        """Return one automation.

        Raises:
            PrefectApiNotFoundError: it is gone.
            PrefectApiError: the API does not say.
        """
        return self.wire.get(f'read automation "{name}"', _one(id_), one)

    def create(self, name: str, body: Mapping[str, Any]) -> Found:
        """Make one; not idempotent.

        Raises:
            PrefectApiError: it may not be there.
        """
        call = Call(method="POST", path=_ROUTE, json=dict(body), reads=True)
        return self.wire.read(f'create automation "{name}"', call, one)

    def update(self, id_: str, name: str, body: Mapping[str, Any]) -> None:
        """Replace one.

        Raises:
            PrefectApiNotFoundError: it is gone.
            PrefectApiError: it was not changed.
        """
        call = Call(method="PUT", path=_one(id_), json=dict(body), idempotent=True)
        self.wire.send(f'change automation "{name}"', call)

    def delete(self, id_: str, name: str) -> None:
        """Remove one.

        Raises:
            PrefectApiNotFoundError: it is gone already.
            PrefectApiError: it may still be there.
        """
        call = Call(method="DELETE", path=_one(id_), idempotent=True)
        self.wire.send(f'remove automation "{name}"', call)

    def _filter(self, doing: str, body: Mapping[str, Any]) -> list[Found]:
        call = Call(method="POST", path=f"{_ROUTE}filter", json=dict(body), idempotent=True, reads=True)
        return self.wire.read(doing, call, many)


def _one(id_: str) -> str:
    return f"{_ROUTE}{quote(id_, safe='')}"
