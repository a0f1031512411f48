"""prefect:NotificationBlock: where a channel's messages go, as a block document on the server.

Its name carries the stack's mark, since a block has no other place for one. The values are secret: outputs hold a
salted fingerprint of them, and a value that was changed on the server is drift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from pulumi.dynamic import CheckFailure, DiffResult

from clients.prefect_api.client import PrefectApi
from clients.prefect_api.objects import Found
from providers.lifecycle import Props, fingerprint, plain, require, unknown
from providers.prefect_object import COMMON, PrefectObjectProvider
from providers.prefect_resource import PrefectResource

_HIDDEN = "*" * 8


class NotificationBlockProvider(PrefectObjectProvider):
    """Keeps one block document as stated."""

    what = "block"
    settings = ("type_slug",)
    # Another type is another document: references to it go by id.
    replaces = ("endpoints", "name", "type_slug")

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing."""
        return require(news, {**dict.fromkeys((*COMMON, "type_slug"), str), "data": Mapping})

    def diff(self, id_: str, olds: Props, news: Props) -> DiffResult:
        """Compare the values by their fingerprint."""
        found = super().diff(id_, olds, news)
        data = news.get("data")
        other = unknown(data) or olds.get("fingerprint") != _print(str(olds.get("salt")), data)
        found.changes = bool(found.changes or other)
        return found

    def find(self, api: PrefectApi, props: Props) -> Found | None:
        """Return the document of this name, which carries our mark."""
        return api.blocks.find(props["type_slug"], props["name"])

    def get(self, api: PrefectApi, id_: str, props: Props) -> Found:
        """Return the document."""
        return api.blocks.get(id_, props["name"])

    def make(self, api: PrefectApi, props: Props) -> Found:
        """Make it."""
        return api.blocks.create(props["type_slug"], props["name"], plain(props["data"]))

    def change(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Write all values."""
        api.blocks.update(id_, props["name"], plain(props["data"]))

    def remove(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Remove it."""
        api.blocks.delete(id_, props["name"])

    def seen(self, found: Found, props: Props) -> dict[str, Any]:
        """Compare the values that we set; others are the server's defaults, and hidden ones cannot be compared."""
        data = dict(found.get("data") or {})
        ours = {key: data.get(key) for key in props["keys"]}
        if _HIDDEN in json.dumps(ours) or _print(props["salt"], ours) == props["fingerprint"]:
            return {"drifted": []}
        return {"drifted": ["values: changed"]}

    def outputs(self, props: Props, found: Found) -> dict[str, Any]:
        """Return all outputs, without any value."""
        salt, data = token_hex(16), props["data"]
        return super().outputs(props, found) | {
            "keys": sorted(data),
            "salt": salt,
            "fingerprint": _print(salt, data),
            "drifted": [],
        }


def _print(salt: str, data: Any) -> str:
    return fingerprint(salt, json.dumps(plain(data), sort_keys=True)) if isinstance(data, Mapping) else ""


class NotificationBlock(PrefectResource, module="prefect", name="NotificationBlock"):
    """A notification block: `type_slug` names its type, for example slack-webhook, `data` are its secret values."""

    provider = NotificationBlockProvider
    secret = ("credential", "data", "salt", "fingerprint")
    outputs = ("object_id", "keys", "salt", "fingerprint", "drifted")
