"""Objects that have a name of their own on the server: one route each, and one to find them by that name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from clients.prefect_api.errors import PrefectApiNotFoundError
from clients.shapes import identity, whole_list, whole_object
from clients.transport import Call
from clients.wire import Wire

Found = Mapping[str, Any]
"""An object as the API describes it; `id` is in it."""


def one(body: object) -> Found:
    """Return the object in a reply.

    Raises:
        ShapeError: it is none.
    """
    found = whole_object(body)
    identity(found)
    return found


def many(body: object) -> list[Found]:
    """Return the objects of a list in a reply.

    Raises:
        ShapeError: it is none.
    """
    return [one(entry) for entry in whole_list(body)]


@dataclass(frozen=True)
class Objects:
    """One kind of object.

    Attributes:
        what: the kind, for messages.
        route: where they are made.
        by_name: where one is found, with {} for its name.
        name_is_id: it is read, changed and removed by its name.
    """

    wire: Wire
    what: str
    route: str
    by_name: str
    name_is_id: bool = False

    def find(self, name: str) -> Found | None:
        """Return the object of that name, None when there is none.

        Raises:
            PrefectApiError: the API does not say.
        """
        doing = f'look for {self.what} "{name}"'
        try:
            return self.wire.get(doing, self.by_name.format(quote(name, safe="")), one)
        except PrefectApiNotFoundError:
            return None

    def get(self, id_: str, name: str) -> Found:
        """Return the object of that id.

        Raises:
            PrefectApiNotFoundError: it is gone.
            PrefectApiError: the API does not say.
        """
        doing = f'read {self.what} "{name}"'
        return self.wire.get(doing, self._one(id_, name), one)

    def create(self, name: str, body: Mapping[str, Any]) -> Found:
        """Make one; not idempotent.

        Raises:
            PrefectApiError: it may not be there.
        """
        doing = f'create {self.what} "{name}"'
        call = Call(method="POST", path=self.route, json=dict(body), reads=True)
        return self.wire.read(doing, call, one)

    def update(self, id_: str, name: str, body: Mapping[str, Any]) -> None:
        """Change it in place.

        Raises:
            PrefectApiNotFoundError: it is gone.
            PrefectApiError: it was not changed.
        """
        call = Call(method="PATCH", path=self._one(id_, name), json=dict(body), idempotent=True)
        self.wire.send(f'change {self.what} "{name}"', call)

    def delete(self, id_: str, name: str) -> None:
        """Remove it.

        Raises:
            PrefectApiNotFoundError: it is gone already.
            PrefectApiError: it may still be there.
        """
        call = Call(method="DELETE", path=self._one(id_, name), idempotent=True)
        self.wire.send(f'remove {self.what} "{name}"', call)

    def _one(self, id_: str, name: str) -> str:
        return f"{self.route}{quote(name if self.name_is_id else id_, safe='')}"
