"""Notification blocks: documents of the block types that every server knows. Their data are secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from clients.prefect_api.errors import PrefectApiNotFoundError, PrefectApiRefusedError
from clients.prefect_api.objects import Found, many, one
from clients.transport import Call
from clients.wire import Wire

_SECRETS = {"include_secrets": "true"}


@dataclass(frozen=True)
class Blocks:
    """The block documents of a server, by type and name."""

    wire: Wire

    def find(self, slug: str, name: str) -> Found | None:
        """Return the document of that type and name with its values, None when there is none.

        Raises:
            PrefectApiError: the API does not say.
        """
        path = f"/block_types/slug/{quote(slug, safe='')}/block_documents/name/{quote(name, safe='')}"
        doing = f'look for block "{name}"'
        try:
            return self.wire.read(doing, Call(method="GET", path=path, params=_SECRETS), one)
        except PrefectApiNotFoundError:
            return None

    def named(self, names: Sequence[str]) -> set[str]:
        """Return which of these names a document has, without reading any value.

        Raises:
            PrefectApiError: the API does not say.
        """
        body = {"block_documents": {"name": {"any_": list(names)}}}
        call = Call(method="POST", path="/block_documents/filter", json=body, idempotent=True, reads=True)
        return {str(each.get("name")) for each in self.wire.read("list the notification blocks", call, many)}

    def get(self, id_: str, name: str) -> Found:
        """Return a document with its values.

        Raises:
            PrefectApiNotFoundError: it is gone.
            PrefectApiError: the API does not say.
        """
        doing = f'read block "{name}"'
        return self.wire.read(doing, Call(method="GET", path=_one(id_), params=_SECRETS), one)

    def create(self, slug: str, name: str, data: Mapping[str, Any]) -> Found:
        """Make a document of the newest schema of its type; not idempotent.

        Raises:
            PrefectApiError: it may not be there.
        """
        doing = f'create block "{name}"'
        kind = self._type(slug, doing)
        body = {"name": name, "data": dict(data), "block_type_id": kind, "block_schema_id": self._schema(kind, doing)}
        call = Call(method="POST", path="/block_documents/", json=body, reads=True)
        return self.wire.read(doing, call, one)

    def update(self, id_: str, name: str, data: Mapping[str, Any]) -> None:
        """Replace a document's values.

        Raises:
            PrefectApiNotFoundError: it is gone.
            PrefectApiError: it was not changed.
        """
        body = {"data": dict(data), "merge_existing_data": False}
        self.wire.send(f'change block "{name}"', Call(method="PATCH", path=_one(id_), json=body, idempotent=True))

    def delete(self, id_: str, name: str) -> None:
        """Remove a document.

        Raises:
            PrefectApiNotFoundError: it is gone already.
            PrefectApiError: it may still be there.
        """
        self.wire.send(f'remove block "{name}"', Call(method="DELETE", path=_one(id_), idempotent=True))

    def _type(self, slug: str, doing: str) -> str:
        try:
            return str(self.wire.get(doing, f"/block_types/slug/{quote(slug, safe='')}", one)["id"])
        except PrefectApiNotFoundError:
            raise PrefectApiRefusedError(doing, f'the server knows no block type "{slug}"') from None

    def _schema(self, type_id: str, doing: str) -> str:
        body = {"block_schemas": {"block_type_id": {"any_": [type_id]}}, "limit": 1}
        # A query, although it is a POST; the newest comes first.
        call = Call(method="POST", path="/block_schemas/filter", json=body, idempotent=True, reads=True)
        found = self.wire.read(doing, call, many)
        if not found:
            raise PrefectApiRefusedError(doing, "the server has no schema of its block type")
        return str(found[0]["id"])


def _one(id_: str) -> str:
    return f"/block_documents/{quote(id_, safe='')}"
