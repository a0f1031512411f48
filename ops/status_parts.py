"""What `status` looks at, one function a part. None changes anything; what one cannot ask, its line says."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from clients.endpoints import WrongWorldError
from clients.errors import ApiError
from clients.redaction import redacted
from ops import status_alerts, status_around, status_server
from ops.errors import OpsError
from ops.runtime import Runtime
from ops.status_report import Line, Report
from ops.status_seen import Seen
from ops.status_stack import StatedStack

Look = Callable[[Seen], Iterable[Line]]
SERVER: dict[str, Look] = {
    "server": status_server.server,
    "domain": status_server.domain,
    "machine": status_server.machine,
    "database": status_server.database,
    "runs": status_server.runs,
    "login": status_server.login,
    "keys": status_server.keys,
    "alerts": status_alerts.alerts,
}
CLOUD: dict[str, Look] = {"server": status_server.cloud, "alerts": status_alerts.alerts}
AROUND: dict[str, Look] = {"orchestrator": status_around.orchestrator, "redeploy": status_around.redeploy}
WATCHED: dict[str, Look] = {"monitor": status_around.monitor, "cost": status_server.cost}


def look(stack: StatedStack, rt: Runtime) -> Report:
    """Ask for every part that the stack has."""
    seen = Seen(stack, rt)
    looks = {**CLOUD, **AROUND} if stack.mode == "cloud" else {**SERVER, **AROUND, **WATCHED}
    lines: list[Line] = []
    for part, each in looks.items():
        lines += _guarded(part, each, seen, lines)
    return Report(stack=stack.name, world=stack.world.value, asked_at=rt.clock(), lines=tuple(lines))


def _guarded(part: str, each: Look, seen: Seen, before: Iterable[Line]) -> list[Line]:
    """Return what it found; what it could not ask is a line of its own, and the reason stands on the screen once."""
    lines: list[Line] = []
    try:
        lines.extend(each(seen))
    except (ApiError, WrongWorldError, OpsError) as error:
        said = redacted(str(error), seen.rt.environ).partition("\n")[0]
        same = next((line.part for line in before if line.text == said), "")
        text = f"could not be asked, for the reason of {same}" if same else said
        lines.append(Line(part=part, state="unknown", text=text))
    return lines
