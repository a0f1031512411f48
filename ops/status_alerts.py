"""What `status` says of the alerts that the stack states: are they on the server, and switched on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from clients.names import MARK_PREFIX, SERVER_KEY, kept_by
from clients.prefect_api.client import PrefectApi
from clients.prefect_api.objects import Found
from ops.errors import OpsError
from ops.status_report import Line, State
from ops.status_seen import Seen


def alerts(seen: Seen) -> Iterable[Line]:
    """A line about all channels and what they hear; what people made by hand is only counted."""
    stack = seen.stack
    if not stack.alerts:
        return
    api = _api(seen)
    found = api.automations.all()
    mark, ours = _ours(found, stack.name.rpartition("/")[2])
    blocks = {f"{mark}-{channel}-{kind}": channel for channel, kind in stack.channels.items()}
    there = api.blocks.named([*blocks]) if mark else set()
    lost = [channel for block, channel in blocks.items() if block not in there]
    missing = [name for name in stack.alerts if name not in ours]
    off = [name for name in stack.alerts if name in ours and not ours[name].get("enabled")]
    by_hand = sum(f"({MARK_PREFIX}" not in str(each.get("description")) for each in found)
    state: State = "problem" if lost or missing or off else "ok"
    wrong = _listed("without a block", lost) + _listed("missing", missing) + _listed("switched off", off)
    text = f"{_number(len(blocks), 'channel')}, {_number(len(stack.alerts), 'alert')}"
    text += f"; {'; '.join(wrong)}; pulumi up --refresh" if wrong else " as stated"
    text += f"; {by_hand} made by hand" if by_hand else ""
    facts: dict[str, object] = {
        "channels": sorted(stack.channels),
        "channels_missing": lost,
        "alerts": list(stack.alerts),
        "alerts_missing": missing,
        "alerts_disabled": off,
        "by_hand": by_hand,
    }
    yield Line(part="alerts", state=state, text=text, facts=facts)


def _api(seen: Seen) -> PrefectApi:
    stack, rt = seen.stack, seen.rt
    if stack.mode != "cloud":
        login = seen.credential
        return PrefectApi.at(f"{stack.server_url}/api", f"{login.name}:{login.key}", rt.world)
    key = rt.environ.get(SERVER_KEY, "").strip()
    if not key:
        raise OpsError(
            f'could not ask Prefect Cloud for the alerts: variable "{SERVER_KEY}" is not set. '
            f'export {SERVER_KEY}="$(pulumi config get prefect-fly:cloudApiKey --stack {stack.name})"'
        )
    return PrefectApi.at(stack.cloud_url, key, rt.world)


def _ours(found: Iterable[Found], stack: str) -> tuple[str, Mapping[str, Found]]:
    """Return the stack's mark and its automations by name, as their descriptions tell."""
    before, after = kept_by(stack, "\n").split("\n")
    sentence = re.compile(rf"{re.escape(before)}({MARK_PREFIX}\w+){re.escape(after)}")
    marked = [(sentence.match(str(each.get("description"))), each) for each in found]
    marks = [match[1] for match, _ in marked if match]
    return (marks[0] if marks else ""), {str(each.get("name")): each for match, each in marked if match}


def _listed(what: str, names: list[str]) -> list[str]:
    return [f"{what}: {', '.join(names)}"] if names else []


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
