"""The text of a preview that people read: cost, connections, what restarts, and every change by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pulumi.runtime.rpc import UNKNOWN

from ci.changes import Change, Changes

_DONE = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
_ABOUT = (("monthlyCostUsd", "Fly, USD per month"), ("databaseConnections", "Database connections"))
# GitHub takes 65,536 characters in a comment.
_ERROR_LIMIT = 20_000


def marker(stack: str) -> str:
    """The invisible line by which the comment of a stack is found again."""
    return f"<!-- prefect-fly preview of {stack} -->"


def preview_text(stack: str, changes: Changes, *, failed: bool) -> str:
    """Return the comment of a preview."""
    parts = [marker(stack), f"### Preview of stack `{stack}`: {_headline(changes, failed=failed)}"]
    if changes.after and not failed:
        parts.append(_figures(changes.before, changes.after))
    if failed:
        parts.append(_errors(changes.errors))
    if changes.changes:
        restarts = _what_restarts(changes.changes)
        parts.append("**What restarts**\n\n" + _lines(restarts or ["nothing"]))
        runs = _what_runs(changes.changes)
        if runs:
            parts.append("**What runs once**\n\n" + _lines(runs))
        parts.append(change_table(changes.changes))
    return "\n\n".join(parts) + "\n"


def change_table(changes: Iterable[Change]) -> str:
    """Return every change as a folded table; names of what differs, never values."""
    rows = [
        f"| {change.op} | `{change.kind}` | `{change.name}` | {', '.join(f'`{key}`' for key in change.keys)} |"
        for change in changes
    ]
    head = "| | kind | name | what differs |\n|---|---|---|---|\n"
    return f"<details><summary>All {len(rows)} changes</summary>\n\n{head}" + "\n".join(rows) + "\n\n</details>"


def counted(counts: Mapping[str, int]) -> str:
    """Return counts as words: "4 created, 1 updated"."""
    return ", ".join(f"{count} {_DONE[op]}" for op, count in counts.items()) or "no changes"


def _headline(changes: Changes, *, failed: bool) -> str:
    return "it failed" if failed else counted(changes.counts())


def _figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    about = [*_ABOUT, *([("image", "Image")] if before.get("image") != after.get("image") else [])]
    rows = [f"| {title} | {_figure(before, key)} | {_figure(after, key)} |" for key, title in about if key in after]
    return "| | now | after |\n|---|---|---|\n" + "\n".join(rows)


def _figure(outputs: Mapping[str, Any], key: str) -> str:
    value = outputs.get(key)
    if key == "monthlyCostUsd":
        return f"{value:.2f}" if isinstance(value, int | float) else ("not known" if key in outputs else "—")
    return "known after `up`" if value == UNKNOWN else str(value or "—").replace("|", "\\|")


def _what_restarts(changes: Iterable[Change]) -> list[str]:
    lines = []
    for change in changes:
        if change.kind == "fly:Machine":
            lines.append(_machine(change))
        elif change.kind == "command:Command" and change.name.endswith("-redeploy") and change.op != "delete":
            app = change.name.removesuffix("-redeploy")
            lines.append(f"the orchestrator `{app}`: it is redeployed, and its new machines are waited for")
        elif change.kind == "command:Command" and change.name.endswith("-detach") and change.op == "delete":
            app = change.name.removesuffix("-detach")
            lines.append(f"the orchestrator `{app}`: it is redeployed without the server (ephemeral mode)")
    return lines


def _machine(change: Change) -> str:
    what = {
        "create": "new",
        "update": "restarts in place",
        "replace": "a new one, then the old one goes",
        "delete": "stops for good",
    }[change.op]
    why = f" ({', '.join(f'`{key}`' for key in change.keys)})" if change.keys else ""
    return f"server machine `{change.name}`: {what}{why}"


def _what_runs(changes: Iterable[Change]) -> list[str]:
    names = [change.name for change in changes if change.kind == "command:Command" and change.op != "delete"]
    lines = [f"`{name}`: a database migration, before the machines" for name in names if name.endswith("-migrate")]
    return lines + [f"`{name}`: a check that fails `up`" for name in names if name.endswith("-verify")]


def _errors(errors: list[str]) -> str:
    text = "\n\n".join(errors)[:_ERROR_LIMIT] or "The engine named no reason; the run's log has its whole output."
    fence = "`" * 4
    return f"{fence}\n{text}\n{fence}"


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
