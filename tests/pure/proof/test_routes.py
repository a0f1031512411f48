from __future__ import annotations

import re

import pytest

from proof.routes import Route, occurrences


def call(path: str, method: str = "GET") -> dict[str, object]:
    return {"service": "fly", "method": method, "path": path, "status": 200, "time": 0.0}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/apps/shop/machines/36b1ef8d194b3c/start", "/v1/apps/shop/machines/{id}/start"),
        ("/repos/captionacc/captionacc/actions/runs/1005", "/repos/captionacc/captionacc/actions/runs/{id}"),
        ("/v1/apps/shop/ip_assignments/66.241.125.7", "/v1/apps/shop/ip_assignments/{id}"),
        ("/v1/apps/shop/ip_assignments/2a09:8280:1::d4bb:3609:5039", "/v1/apps/shop/ip_assignments/{id}"),
        (
            "/api/accounts/e9755795-0f3b-4002-a6bd-fca20251337b/workspaces/05b17455-2b06-4918-9e57-50ca8c9c73f3/flows/",
            "/api/accounts/{id}/workspaces/{id}/flows/",
        ),
        ("/v1/apps/shop-2/secrets", "/v1/apps/shop-2/secrets"),
    ],
)
def test_what_differs_from_run_to_run_is_taken_out(path: str, kind: str) -> None:
    """Two runs make the same kinds of calls, and a kind's pattern finds its own calls and no longer ones."""
    route = Route.of(call(path))
    assert route.path == kind
    assert re.search(route.pattern, path)
    assert not re.search(route.pattern, f"{path}/more")


def test_calls_in_a_row_count_once() -> None:
    """Polls are one occurrence; the same call later is another."""
    made = [call("/a"), call("/a"), call("/a"), call("/b"), call("/a")]
    assert occurrences(made) == {Route("fly", "GET", "/a"): 2, Route("fly", "GET", "/b"): 1}


@pytest.mark.parametrize(
    ("service", "path", "counted"),
    [
        ("edge", "/captionacc-prefect/api/flows/filter", 0),
        ("edge", "/captionacc-prefect/api/ready", 0),
        ("cloud", "/api/accounts/1/workspaces/2/flows/filter", 0),
        ("edge", "/captionacc-prefect/api/automations/filter", 1),
        ("github", "/repos/captionacc/ready", 1),
    ],
)
def test_what_the_orchestrator_and_a_monitor_poll_is_left_out(service: str, path: str, counted: int) -> None:
    """A crash of who makes such a call would hit anybody."""
    assert len(occurrences([call(path) | {"service": service}])) == counted
