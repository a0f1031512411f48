"""Logs of an app, from api.fly.io; lines arrive there some seconds late."""

from __future__ import annotations

from clients.fly.errors import FlyError
from clients.fly.wire import Wire
from clients.shapes import record, records
from clients.transport import Call

TAIL = 40
"""Lines shown when a machine fails."""


class Logs:
    """`GET /api/v1/apps/{app}/logs`. Unlike the other nouns it lives at FLY_API_BASE_URL."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def tail(self, app: str, machine: str, lines: int = TAIL) -> tuple[str, ...]:
        """Return the machine's last log lines, oldest first; empty when the logs cannot be had.

        Logs explain a failure that is reported anyway, so trouble in reading them must not hide it.
        """
        messages: list[str] = []
        token = ""
        try:
            # Pages run forward in time; a machine that just failed has few.
            for _page in range(10):
                entries, following = self._page(app, machine, token)
                messages += entries
                if not entries or following in {"", token}:
                    break
                token = following
        except FlyError:
            self._wire.transport.progress(f'the logs of machine "{machine}" could not be read')
        return tuple(messages[-lines:])

    def _page(self, app: str, machine: str, token: str) -> tuple[list[str], str]:
        params: dict[str, str | int] = {"instance": machine}
        if token:
            params["next_token"] = token
        call = Call(method="GET", path=f"/api/v1/apps/{app}/logs", params=params, pace=f"logs:{app}")
        body = record(self._wire.send(f'read the logs of machine "{machine}"', call).json())
        entries = [str(record(line.get("attributes")).get("message", "")) for line in records(body.get("data"))]
        return entries, str(record(body.get("meta")).get("next_token") or "")
