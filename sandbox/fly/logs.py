"""The logs of machines, as the REST call of api.fly.io returns them."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any

from sandbox.core.clock import Clock

_KEPT = 5000
_PAGE = 100


@dataclass(frozen=True)
class Line:
    """One log line."""

    number: int
    time: float
    app: str
    machine_id: str
    region: str
    message: str
    level: str = "info"
    provider: str = "app"


class LogBuffer:
    """The newest lines of all apps."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._lines: deque[Line] = deque(maxlen=_KEPT)

    def add(self, app: str, machine_id: str, region: str, message: str, *, provider: str = "app") -> None:
        """Keep one line; `provider` is app for the program's own, runner for the platform's."""
        number = next(self._numbers)
        self._lines.append(Line(number, self._clock.time(), app, machine_id, region, message, provider=provider))

    def page(self, app: str, *, instance: str = "", region: str = "", after: int = 0) -> list[Line]:
        """Return up to 100 lines after `after`, or the newest ones when it is 0."""
        lines = [
            line
            for line in self._lines
            if line.app == app and line.number > after
            if instance in {"", line.machine_id} and region in {"", line.region}
        ]
        return lines[:_PAGE] if after else lines[-_PAGE:]

    def text(self, app: str, machine_id: str = "") -> str:
        """Return what an app, or one machine of it, has printed."""
        return "\n".join(
            line.message for line in self._lines if line.app == app and machine_id in {"", line.machine_id}
        )

    def clear(self) -> None:
        """Forget everything."""
        self._lines.clear()


def line_json(line: Line, clock: Clock) -> dict[str, Any]:
    """Return a line in the form of the logs call."""
    return {
        "id": str(line.number),
        "type": "log",
        "attributes": {
            "timestamp": clock.rfc3339(line.time),
            "message": line.message,
            "level": line.level,
            "instance": line.machine_id,
            "region": line.region,
            "meta": {"instance": line.machine_id, "region": line.region, "event": {"provider": line.provider}},
        },
    }
