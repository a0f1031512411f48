"""JSON:API documents of the emulated Better Stack."""

from __future__ import annotations

from typing import Any

from yarl import URL

from sandbox.better_stack.models import Monitor
from sandbox.core.clock import Clock


def monitor(each: Monitor, clock: Clock) -> dict[str, Any]:
    """One monitor; the password it polls with is not given out."""
    checked = each.last_checked_at
    shown = {name: value for name, value in each.attributes.items() if name != "auth_password"}
    return {
        "id": each.id,
        "type": "monitor",
        "attributes": shown
        | {
            "status": each.status,
            "last_checked_at": clock.rfc3339(checked) if checked is not None else None,
            "created_at": clock.rfc3339(each.created_at),
            "updated_at": clock.rfc3339(each.updated_at),
        },
        "relationships": {"policy": {"data": None}},
    }


def page(monitors: list[Monitor], clock: Clock, asked: URL, number: int, size: int) -> dict[str, Any]:
    """One page of a list with the links that lead on; None where there is no such page."""
    last = max(1, -(-len(monitors) // size))

    def link(wanted: int) -> str | None:
        return str(asked.update_query(page=wanted, per_page=size)) if 1 <= wanted <= last else None

    shown = monitors[(number - 1) * size : number * size]
    return {
        "data": [monitor(each, clock) for each in shown],
        "pagination": {"first": link(1), "last": link(last), "prev": link(number - 1), "next": link(number + 1)},
    }


def response_times(each: Monitor, clock: Clock) -> dict[str, Any]:
    """The latencies of a monitor's polls."""
    times = [{"at": clock.rfc3339(at), "response_time": seconds} for at, seconds in each.latencies]
    regions = [{"region": region, "response_times": times} for region in each.attributes["regions"]]
    return {"data": {"id": each.id, "type": "monitor_response_times", "attributes": {"regions": regions}}}
