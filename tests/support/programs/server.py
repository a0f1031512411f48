"""A stand-in for the server image in tests of the engine, where Prefect itself is not what is tested.

It keeps the contract that the program relies on: verbs, open and closed paths, named keys, counters per key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from clients.names import RETIRED_NAMES

STARTED = time.time()
RING: dict[str, Any] = json.loads(os.environ.get("PREFECT_FLY_API_KEYS", "{}"))
ENTRIES = {name: each if isinstance(each, dict) else {"sha256": [each]} for name, each in RING.items()}
USES: dict[str, dict[str, Any]] = {
    name: {"accepted": 0, "refused": 0, "last_accepted": None, "client_version": "3.8.8"} for name in ENTRIES
}


def accepted_name(header: str) -> str | None:
    """Name of the key that an Authorization header holds."""
    scheme, _space, value = header.partition(" ")
    text = base64.b64decode(value).decode() if scheme == "Basic" else value
    digest = hashlib.sha256(text.rpartition(":")[2].encode()).hexdigest()
    return next((name for name, entry in ENTRIES.items() if digest in entry["sha256"]), None)


class Handler(BaseHTTPRequestHandler):
    """Answers like the gate."""

    def do_GET(self) -> None:
        """Open paths, and everything else with a key."""
        if self.path == "/":
            self.answer(200, "<html></html>", "text/html")
            return
        if self.path in {"/api/health", "/api/ready"}:
            self.answer(200, {"message": "OK"})
            return
        self.closed()

    def do_POST(self) -> None:
        """Only with a key."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.closed()

    def closed(self) -> None:
        """Count and answer an authenticated request, or refuse it."""
        name = accepted_name(self.headers.get("Authorization") or "")
        if name is None:
            self.answer(401, {"detail": "Unauthorized"})
            return
        USES[name]["accepted"] = USES[name]["accepted"] + 1
        USES[name]["last_accepted"] = time.time()
        who = {"name": name, "rights": ENTRIES[name].get("rights", "admin"), "expires": ENTRIES[name].get("expires")}
        pages = {"/gate/keys": {"keys": USES, "started_at": STARTED}, "/gate/whoami": who}
        self.answer(200, pages.get(self.path, []))

    def answer(self, status: int, body: object, kind: str = "application/json") -> None:
        """Send it as JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""


if __name__ == "__main__":
    verb = sys.argv[1] if len(sys.argv) > 1 else "serve"
    # A server made by hand, which has no keys, takes what our image refuses.
    if ENTRIES and (retired := [name for name in RETIRED_NAMES if os.environ.get(name)]):
        print(f"{verb}: could not read the settings: {', '.join(retired)} cannot be used")
        sys.exit(19)
    if verb == "migrate":
        print("migrate: done")
        sys.exit(0)
    address = (os.environ["PREFECT_SERVER_API_HOST"], int(os.environ["PREFECT_SERVER_API_PORT"]))
    ThreadingHTTPServer(address, Handler).serve_forever()
