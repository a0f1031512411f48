"""A stand-in for the orchestrator in tests of the engine: it uses its PREFECT_* variables as a Prefect client would.

ORCHESTRATOR_BEHAVIOUR is the sample orchestrator's: `stays-unhealthy`, or `never-calls` (healthy without using its
key).
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

URL, AUTH = os.environ.get("PREFECT_API_URL"), os.environ.get("PREFECT_API_AUTH_STRING", "")
KEY = os.environ.get("PREFECT_API_KEY", "")
MODE = os.environ.get("ORCHESTRATOR_BEHAVIOUR", "")
state = "not_configured" if URL is None else "unhealthy"


def poll() -> None:
    """Ask the server once a moment, as Prefect's runner does."""
    global state  # noqa: PLW0603 - one small program
    while True:
        # The auth string wins over the key, as it does in Prefect's client.
        credential = f"Basic {base64.b64encode(AUTH.encode()).decode()}" if AUTH else f"Bearer {KEY}"
        header = {"Authorization": credential, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{URL}/flows/filter", data=b"{}", headers=header)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=600):  # noqa: S310
                state = "healthy"
        except (urllib.error.URLError, OSError):
            state = "unhealthy"
        time.sleep(0.3)


class Handler(BaseHTTPRequestHandler):
    """The health endpoint."""

    def do_GET(self) -> None:
        """Say how Prefect is."""
        said = {"stays-unhealthy": "unhealthy", "never-calls": "healthy"}.get(MODE, state) if URL else state
        data = json.dumps({"status": "ok", "components": {"prefect": said}, "points_at": URL or ""}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""


if __name__ == "__main__":
    if URL is not None and MODE != "never-calls":
        threading.Thread(target=poll, daemon=True).start()
    host, port = os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080"))
    ThreadingHTTPServer((host, port), Handler).serve_forever()
