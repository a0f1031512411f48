"""One object of each kind that a stack keeps on a Prefect server."""

from __future__ import annotations

import copy
from typing import Any

from components.alert_messages import message_of
from providers.prefect_automation import AutomationProvider
from providers.prefect_concurrency_limit import ConcurrencyLimitProvider
from providers.prefect_notification_block import NotificationBlockProvider
from providers.prefect_object import PrefectObjectProvider
from providers.prefect_variable import VariableProvider
from providers.prefect_work_pool import WorkPoolProvider
from tests.support.dynamic_engine import EngineSide

MARK = "prefect-fly-0123456789ab"
COMMON: dict[str, Any] = {
    "endpoints": "real",
    "api_url": "https://p.test/api",
    "credential": "pulumi:pf_1",
    "owner": "0123456789ab",
}
FAILED = message_of("failed", ui_url="https://p.test", stuck_minutes=60, silent_minutes=10)
INPUTS: dict[type[PrefectObjectProvider], dict[str, Any]] = {
    NotificationBlockProvider: {
        "name": f"{MARK}-ops-slack",
        "type_slug": "slack-webhook",
        "data": {"url": "https://c4nary"},
    },
    AutomationProvider: {
        "name": "ops: flow run failed (dev)",
        "description": f"by the stack ({MARK})",
        "enabled": True,
        "trigger": dict(FAILED.trigger),
        "subject": FAILED.subject,
        "body": FAILED.body,
        "block_id": "id-9",
    },
    VariableProvider: {"name": "bucket", "value": {"a": [1, None]}, "tags": [MARK]},
    WorkPoolProvider: {"name": "local", "pool_type": "process", "description": MARK, "is_paused": False},
    ConcurrencyLimitProvider: {
        "name": "db",
        "scope": "global",
        "limit": 2,
        "slot_decay_per_second": 0.5,
        "active": True,
    },
}
KINDS = list(INPUTS)
ROUTES = dict(zip(KINDS, ("block_documents", "automations", "variables", "work_pools", "v2"), strict=True))


def inputs(kind: type[PrefectObjectProvider], **changes: Any) -> dict[str, Any]:
    """Return inputs of that kind, with these changes."""
    return copy.deepcopy(COMMON | INPUTS[kind] | changes)


def made(kind: type[PrefectObjectProvider]) -> EngineSide:
    """Make one with its usual inputs."""
    return EngineSide(kind).create(inputs(kind))
