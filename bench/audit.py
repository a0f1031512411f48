"""What the audit costs: changes a second of one server that keeps it and of one that does not, in turn, in one run.

    python -m toolchain run .venv/bin/python -m bench.audit

Both are real servers on databases of their own in one Postgres. They take turns, so that whatever else the machine does
meets both alike; the ratio is the result, not the rates.
"""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from bench.pair import databases
from tests.support.prefect_server import Program, hashed, running

KEY = "a-key-of-this-bench"
ROUNDS, CHANGES, CLIENTS = 12, 80, 4


class Server:
    """One server, and how fast it takes changes."""

    def __init__(self, program: Program) -> None:
        self._program, self.rates = program, list[float]()
        made = self._call("POST", "/variables/", {"name": "counted", "value": 0})
        self._path = f"/variables/{made.json()['id']}"

    def take(self, changes: int) -> None:
        """Change one variable so often, from several clients at once."""
        began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(lambda number: self._call("PATCH", self._path, {"value": number}), range(changes)))
        self.rates.append(changes / (time.monotonic() - began))

    def _call(self, method: str, path: str, body: object) -> requests.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        reply = requests.request(method, self._program.api_url + path, json=body, headers=headers, timeout=600)
        reply.raise_for_status()
        return reply


def main() -> None:
    """Measure, and print both medians and their ratio."""
    with databases(2) as lent:
        programs = []
        for (home, environ), days in zip(lent, ("30", "0"), strict=True):
            keys = {"PREFECT_FLY_API_KEYS": hashed({"orchestrator": KEY}), "PREFECT_FLY_AUDIT_KEEP_DAYS": days}
            programs.append(Program(home, environ | keys))
        with running(programs[0]), running(programs[1]):
            servers = [Server(program) for program in programs]
            for turn in range(ROUNDS + 1):
                for server in servers[:: 1 if turn % 2 else -1]:
                    server.take(CHANGES)
            # The first turn is each server's warming up.
            audited, plain = (statistics.median(server.rates[1:]) for server in servers)
            ratios = [one / other for one, other in zip(*(server.rates[1:] for server in servers), strict=True)]
    print(f"{audited:.0f} changes a second with the audit, {plain:.0f} without; ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
