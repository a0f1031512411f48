"""Filters and pages of GitHub's lists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.github.errors import unprocessable
from sandbox.github.models import Run

_LIST_LIMIT = 1000  # the list of runs never shows more, whatever the filters


def matching_runs(runs: list[Run], query: Any, now: float) -> list[Run]:
    """Return the runs that a list call's filters let through, newest first.

    Raises:
        aiohttp.web.HTTPUnprocessableEntity: `created` is no date or range of dates.
    """
    earliest, latest = _created(query.get("created", ""))
    found = [run for run in runs if run.visible_at <= now and earliest <= int(run.created_at) <= latest]
    for name, value in (("event", "event"), ("branch", "head_branch"), ("head_sha", "head_sha")):
        if wanted := query.get(name):
            found = [run for run in found if getattr(run, value) == wanted]
    if status := query.get("status"):
        found = [run for run in found if status in {run.status, run.conclusion}]
    return found[:_LIST_LIMIT]


def _created(expression: str) -> tuple[float, float]:
    everything = (float("-inf"), float("inf"))
    if not expression:
        return everything
    if ".." in expression:
        first, _, last = expression.partition("..")
        return (
            _moment(first) if first not in {"", "*"} else everything[0],
            _moment(last, end=True) if last not in {"", "*"} else everything[1],
        )
    for sign in (">=", "<=", ">", "<"):
        if expression.startswith(sign):
            at = _moment(expression[len(sign) :], end=sign in {"<=", ">"})
            return {
                ">=": (at, everything[1]),
                "<=": (everything[0], at),
                ">": (at + 1, everything[1]),
                "<": (everything[0], at - 1),
            }[sign]
    return _moment(expression), _moment(expression, end=True)


def _moment(text: str, *, end: bool = False) -> float:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise unprocessable(f"Invalid value for created: {text}") from error
    whole_day = len(text.strip()) == len("2026-01-01")
    seconds = at.replace(tzinfo=at.tzinfo or UTC).timestamp() + (86_399 if whole_day and end else 0)
    return int(seconds)


def page(request: web.Request, items: list[Any]) -> tuple[list[Any], dict[str, str]]:
    """Return the page of `items` that was asked for, and the Link header that leads on."""
    try:
        size = max(1, min(100, int(request.query.get("per_page", "30"))))
        number = max(1, int(request.query.get("page", "1")))
    except ValueError as error:
        raise unprocessable("per_page and page must be numbers") from error
    headers = {}
    if number * size < len(items):
        following = request.url.update_query(page=number + 1, per_page=size)
        headers["Link"] = f'<{following}>; rel="next"'
    return items[(number - 1) * size : number * size], headers
