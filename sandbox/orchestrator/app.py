"""The sample orchestrator: answers /health at once and supervises `serve_flows.py`, where Prefect lives.

It stands for the app the user already has. With PREFECT_API_URL set (and the credentials beside it) its flows are
served against that server; without it the flow runs once in ephemeral mode. /health says which, as one JSON object:

    {"status": "healthy", "components": {"prefect": "healthy", "flows": "healthy"},
     "flows": {"mode": "server", "last_run": "COMPLETED"}}

`components.prefect` is `not_configured`, `healthy` (the last authenticated API call, made with the client's own
settings at most a few seconds ago, succeeded) or `unhealthy`. Prefect is imported by the child only, so /health never
waits for it. Standard library only.

Environment: HOST and PORT to listen on; ORCHESTRATOR_HEALTH_SHAPE=object answers `{"status": …}` objects as
components; ORCHESTRATOR_BEHAVIOUR makes it a bad example for tests: `stays-unhealthy`, or `never-calls` (claims to be
healthy without ever using its key).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any

# The child reports every five seconds at most; three missed reports mean it hangs.
STALE_SECONDS = 20.0
STOP_SECONDS = 8.0
RESTART_SECONDS = (1.0, 2.0, 5.0, 10.0)
EPHEMERAL_TRIES = 3

_CHILD_SETTINGS = {
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    "PYTHONUNBUFFERED": "1",
}


@dataclass
class Findings:
    """What the child last said, and when."""

    prefect: str = "unhealthy"
    detail: str = "starting"
    last_run: str | None = None
    at: float = field(default_factory=time.monotonic)

    def take(self, report: dict[str, str]) -> None:
        """Merge one report line of the child."""
        self.prefect = report.get("prefect", self.prefect)
        self.detail = report.get("detail", self.detail)
        self.last_run = report.get("last_run", self.last_run)
        self.at = time.monotonic()


class Flows:
    """The child process that holds Prefect, restarted with growing pauses while it should run."""

    def __init__(self, *, configured: bool, home: Path) -> None:
        self.configured = configured
        self.findings = Findings()
        self._home = home
        self._stopping = threading.Event()
        self._spawning = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._supervise, name="flows", daemon=True)

    def start(self) -> None:
        """Begin supervising; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the child and everything it started."""
        self._stopping.set()
        with self._spawning:
            child = self._child
        if child is not None and child.poll() is None:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(STOP_SECONDS)
            _kill_group(child.pid)
        self._thread.join(STOP_SECONDS)

    def prefect(self) -> str:
        """Return the state of the component `prefect`."""
        if not self.configured:
            return "not_configured"
        behaviour = os.environ.get("ORCHESTRATOR_BEHAVIOUR", "")
        if behaviour == "stays-unhealthy":
            return "unhealthy"
        if behaviour == "never-calls":
            return "healthy"
        stale = time.monotonic() - self.findings.at > STALE_SECONDS
        return "unhealthy" if stale else self.findings.prefect

    def _supervise(self) -> None:
        if self.configured and os.environ.get("ORCHESTRATOR_BEHAVIOUR") == "never-calls":
            return
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            code = self._run_child()
            if not self.configured and (code == 0 or failures + 1 >= EPHEMERAL_TRIES):
                return
            failures = 0 if time.monotonic() - began > 60 else failures + 1
            self._stopping.wait(RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1])

    def _run_child(self) -> int:
        reading, writing = os.pipe()
        # An empty variable is how Fly's users unset one; Prefect would take it for a value.
        given = {name: value for name, value in os.environ.items() if value}
        own = {
            "PREFECT_HOME": str(self._home),
            "TMPDIR": str(self._home),
            "ORCHESTRATOR_REPORTS_FD": str(writing),
        }
        here = Path(__file__).resolve().parent
        with self._spawning:
            if self._stopping.is_set():
                return 0
            child = subprocess.Popen(
                [sys.executable, str(here / "serve_flows.py"), "serve" if self.configured else "once"],
                cwd=here,
                env=_CHILD_SETTINGS | given | own,
                # The child reads end-of-file when this process is killed, and then ends itself with all it started.
                stdin=subprocess.PIPE,
                pass_fds=(writing,),
                start_new_session=True,
            )
            self._child = child
        os.close(writing)
        with os.fdopen(reading) as reports:
            for line in reports:
                self.findings.take(json.loads(line))
        code = child.wait()
        _kill_group(child.pid)
        self.findings.take({"prefect": "unhealthy", "detail": f"the flows' process ended with {code}"})
        return code


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def health(flows: Flows) -> dict[str, Any]:
    """Return the answer of /health."""
    prefect = flows.prefect()
    last_run = flows.findings.last_run
    components: dict[str, Any] = {
        "prefect": prefect,
        "flows": "unhealthy" if last_run in {"FAILED", "CRASHED"} else "healthy",
    }
    fine = "unhealthy" not in components.values()
    if os.environ.get("ORCHESTRATOR_HEALTH_SHAPE") == "object":
        components = {name: {"status": state} for name, state in components.items()}
    return {
        "status": "healthy" if fine else "degraded",
        "components": components,
        "flows": {"mode": "server" if flows.configured else "ephemeral", "last_run": last_run},
        "detail": flows.findings.detail if prefect == "unhealthy" else "",
    }


def _server(host: str, port: int, flows: Flows) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = self.path.split("?")[0] == "/health"
            body = json.dumps(health(flows) if found else {"detail": "Not Found"}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Keep the health check's requests out of the log."""

    ThreadingHTTPServer.daemon_threads = True
    return ThreadingHTTPServer((host, port), Handler)


def main() -> int:
    """Serve until SIGTERM or SIGINT (Fly sends the latter), then end the child and return 0."""
    configured = bool(os.environ.get("PREFECT_API_URL"))
    # A pipe, because an Event set by a handler that interrupts its own wait() would block for ever.
    ended, end_now = os.pipe()

    def end(_signal: int, _frame: FrameType | None) -> None:
        os.write(end_now, b"!")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with tempfile.TemporaryDirectory(prefix="orchestrator-", ignore_cleanup_errors=True) as home:
        flows = Flows(configured=configured, home=Path(home))
        host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
        with _server(host, port, flows) as server:
            threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
            flows.start()
            print(f"orchestrator: health on {host}:{port}, prefect {flows.prefect()}", flush=True)
            os.read(ended, 1)
            flows.stop()
            server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
