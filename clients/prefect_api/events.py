"""Events: one is sent, and what an automation did because of it is read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

from clients.shapes import listed
from clients.transport import Call
from clients.wire import Wire

_EXECUTED, _FAILED = "prefect.automation.action.executed", "prefect.automation.action.failed"


@dataclass(frozen=True, kw_only=True)
class ActionTaken:
    """What became of an automation's action: `reason` is empty when it was executed."""

    executed: bool
    reason: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """Read an event of an action."""
        payload = dict(event.get("payload") or {})
        said = [str(payload.get(key) or "").strip() for key in ("reason", "notification_log")]
        return cls(executed=event.get("event") == _EXECUTED, reason=": ".join(part for part in said if part))


@dataclass(frozen=True)
class Events:
    """The events of a server."""

    wire: Wire

    def send(self, name: str, resource_id: str) -> str:
        """Send an event about a resource and return the event's id.

        Raises:
            PrefectApiError: it was not accepted.
        """
        id_ = str(uuid4())
        event = {
            "id": id_,
            "occurred": datetime.now(UTC).isoformat(),
            "event": name,
            "resource": {"prefect.resource.id": resource_id},
        }
        self.wire.send(f'send event "{name}"', Call(method="POST", path="/events", json=[event]))
        return id_

    def actions(self, automation_id: str, triggered_by: Sequence[str]) -> list[ActionTaken]:
        """Return what the automation's actions did because of these events, the newest first.

        Raises:
            PrefectApiError: the API does not say.
        """
        criteria = {
            "event": {"name": [_EXECUTED, _FAILED]},
            "resource": {"id": [f"prefect.automation.{automation_id}"]},
        }
        call = Call(method="POST", path="/events/filter", json={"filter": criteria}, idempotent=True, reads=True)
        events = self.wire.read("read what an automation did", call, lambda body: listed(body, "events"))
        causes = {f"prefect.event.{event}" for event in triggered_by}
        return [ActionTaken.of(event) for event in events if causes & _related(event)]


def _related(event: Mapping[str, Any]) -> set[str]:
    return {str(each.get("prefect.resource.id")) for each in event.get("related") or ()}
