"""prefect:Automation: one message of a channel: what it hears, and what it says.

Ours are told from people's by the mark in the description, which is also what a person reads in the UI. One of the same
name without the mark is refused: nobody could tell the two apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi.dynamic import CheckFailure, DiffResult

from clients.names import mark_of
from clients.prefect_api.client import PrefectApi
from clients.prefect_api.objects import Found
from providers.lifecycle import Props, plain, require, unknown
from providers.prefect_object import COMMON, PrefectObjectProvider
from providers.prefect_resource import PrefectResource

_SETS = ("after", "expect", "for_each")
_ACTION = "send-notification"


class AutomationProvider(PrefectObjectProvider):
    """Keeps one automation as stated."""

    what = "automation"
    settings = ("description", "enabled", "trigger", "subject", "body", "block_id", "others")

    def failures(self, _olds: Props, news: Props) -> list[CheckFailure]:
        """Refuse what is missing, and a description without our mark."""
        kinds = {**dict.fromkeys((*COMMON, "description", "subject", "body", "block_id"), str), "trigger": Mapping}
        return require(news, kinds)

    def diff(self, id_: str, olds: Props, news: Props) -> DiffResult:
        """Compare with the last outputs.

        The block's id is not known in a preview in which the block is written: only a new block has another id, so an
        unknown one alone is no change, and previews do not announce what `up` then skips.
        """
        known = {**news, "block_id": olds.get("block_id")} if unknown(news.get("block_id")) else news
        return super().diff(id_, olds, known)

    def find(self, api: PrefectApi, props: Props) -> Found | None:
        """Return ours of this name."""
        found = api.automations.find(props["name"])
        ours = [each for each in found if mark_of(props["owner"]) in str(each.get("description"))]
        if found and not ours:
            raise self.foreign(props, "one of that name is on the server already, and this stack did not make it")
        return ours[0] if ours else None

    def get(self, api: PrefectApi, id_: str, props: Props) -> Found:
        """Return the automation."""
        return api.automations.get(id_, props["name"])

    def make(self, api: PrefectApi, props: Props) -> Found:
        """Make it."""
        return api.automations.create(props["name"], _body(props))

    def change(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Replace it."""
        api.automations.update(id_, props["name"], _body(props))

    def remove(self, api: PrefectApi, id_: str, props: Props) -> None:
        """Remove it."""
        api.automations.delete(id_, props["name"])

    def seen(self, found: Found, props: Props) -> dict[str, Any]:
        """Return what the server has; more or other actions than ours are in `others`."""
        actions = [dict(action) for action in found.get("actions") or []]
        first = actions.pop(0) if actions and actions[0].get("type") == _ACTION else {}
        for key in ("actions_on_trigger", "actions_on_resolve"):
            actions += found.get(key) or []
        return {
            # Another name on the server is drift and not another object.
            "drifted": [] if found.get("name") == props["name"] else [f"name: {found.get('name')}"],
            "description": found.get("description"),
            "enabled": found.get("enabled"),
            "trigger": _trigger(plain(found.get("trigger") or {}), plain(props["trigger"])),
            "subject": first.get("subject"),
            "body": first.get("body"),
            "block_id": first.get("block_document_id"),
            "others": [str(action.get("type")) for action in actions] or None,
        }

    def outputs(self, props: Props, found: Found) -> dict[str, Any]:
        """Return all outputs."""
        return super().outputs(props, found) | {"drifted": []}


def _body(props: Props) -> dict[str, Any]:
    action = {
        "type": _ACTION,
        "block_document_id": props["block_id"],
        "subject": props["subject"],
        "body": props["body"],
    }
    stated = plain(props)
    head = {key: stated[key] for key in ("name", "description", "enabled", "trigger")}
    return {**head, "tags": [], "actions": [action], "actions_on_trigger": [], "actions_on_resolve": []}


def _trigger(found: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the server's trigger in our spelling: its sets are ours when they hold the same, its own keys left out."""
    shown = {key: value for key, value in found.items() if key in stated}
    if found.get("type") != stated.get("type"):
        return {"type": found.get("type")}
    for key in _SETS:
        ours, theirs = stated.get(key), shown.get(key)
        if ours is not None and sorted(ours) == sorted(theirs or []):
            shown[key] = list(ours)
    return shown


class Automation(PrefectResource, module="prefect", name="Automation"):
    """An automation that sends one message through a notification block.

    Its inputs: `description`, which carries the mark; `enabled`; `trigger`, as the API takes it, with every key that
    matters; `subject` and `body`, templates; `block_id`, of the block's document.
    """

    provider = AutomationProvider
    outputs = ("object_id", "drifted", "others")
