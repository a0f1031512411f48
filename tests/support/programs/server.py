"""A stand-in for the server image in tests of the engine, where Prefect itself is not what is tested.

It keeps the contract that the program relies on: verbs, open and closed paths, named keys, counters per key, and what a
stack keeps on its server for alerts. With the verb `open` it stands behind the Cloud-like workspace, which sees to
keys.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))

from clients.names import RETIRED_NAMES
from tests.support.programs.objects import Objects

VERB = sys.argv[1] if len(sys.argv) > 1 else "serve"
STARTED = time.time()
SIGNING = os.environ.get("PREFECT_FLY_KEYS_SIGNING", "").encode()
USES: dict[str, dict[str, Any]] = {}


def mac_of(text: str) -> str:
    """What only whoever has the signing secret can say."""
    return hmac.digest(SIGNING, f"prefect-fly {text}".encode(), "sha256").hex()


# Files for the tables in the database that all machines of a sandbox with the same signing secret share. As a database
# does, they outlive the machines, which live below this folder.
DATABASE = Path.cwd().parents[1]
TABLE = DATABASE / f"keys-{mac_of('signer')}.json"
OBJECTS = Objects(DATABASE / f"objects-{mac_of('signer')}.json")


def newest() -> tuple[int, dict[str, Any]]:
    """The keys of the newest generation: of our own secret, or of what was published to any machine."""
    own = int(os.environ.get("PREFECT_FLY_KEYS_GENERATION", "0"))
    published: dict[str, Any] = json.loads(TABLE.read_text()) if TABLE.exists() else {"generation": -1}
    if published["generation"] > own:
        own, ring = published["generation"], json.loads(published["ring"])
    else:
        ring = json.loads(os.environ.get("PREFECT_FLY_API_KEYS", "{}"))
    return own, {name: each if isinstance(each, dict) else {"sha256": [each]} for name, each in ring.items()}


def accepted_name(header: str) -> str | None:
    """Name of the key that an Authorization header holds."""
    scheme, _space, value = header.partition(" ")
    text = base64.b64decode(value).decode() if scheme == "Basic" else value
    digest = hashlib.sha256(text.rpartition(":")[2].encode()).hexdigest()
    return next((name for name, entry in newest()[1].items() if digest in entry["sha256"]), None)


def report() -> dict[str, object]:
    """The body of GET /gate/keys."""
    generation, keys = newest()
    return {"keys": {name: use_of(name) for name in keys}, "started_at": STARTED, "generation": generation}


def use_of(name: str) -> dict[str, Any]:
    """The counters of a key."""
    unused = {"accepted": 0, "refused": 0, "last_accepted": None, "client_version": "3.8.8"}
    return USES.setdefault(name, unused)


class Handler(BaseHTTPRequestHandler):
    """Answers like the gate."""

    def do_GET(self) -> None:
        """Open paths, and everything else with a key."""
        if self.path == "/":
            self.answer(200, "<html></html>", "text/html")
            return
        if self.path in {"/api/health", "/api/ready", "/metrics"}:
            self.answer(200, {"message": "OK"})
            return
        self.closed()

    def do_POST(self) -> None:
        """Only with a key."""
        self.closed(self.body())

    do_PATCH = do_DELETE = do_POST  # noqa: N815 - http.server's names

    def do_PUT(self) -> None:
        """Take a newer ring, if the stack signed it; anything else only with a key."""
        given = self.body()
        if self.path != "/gate/keys":
            self.closed(given)
            return
        genuine = given["mac"] == mac_of(f"ring {given['generation']} {given['ring']}")
        if not genuine or given["generation"] < newest()[0]:
            self.answer(409 if genuine else 403, report())
            return
        written = TABLE.with_name(f"{TABLE.name}-{os.getpid()}")
        written.write_text(json.dumps(given))
        written.replace(TABLE)
        self.closed()

    def body(self) -> Any:
        """What was sent, decoded."""
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "null")

    def closed(self, given: Any = None) -> None:
        """Count and answer an authenticated request, or refuse it."""
        authorization = self.headers.get("Authorization") or ""
        if self.path == "/gate/keys" and authorization == f"Bearer {mac_of('publisher')}":
            self.answer(200, report())
            return
        name = "anybody" if VERB == "open" else accepted_name(authorization)
        if name is None:
            self.answer(401, {"detail": "Unauthorized"})
            return
        use_of(name)["accepted"] += 1
        use_of(name)["last_accepted"] = time.time()
        entry = newest()[1].get(name, {})
        who = {"name": name, "rights": entry.get("rights", "admin"), "expires": entry.get("expires")}
        pages = {"/gate/keys": report(), "/gate/whoami": who}
        kept = OBJECTS.answer(self.command, self.path.partition("?")[0].removeprefix("/api"), given)
        self.answer(*(kept or (200, pages.get(self.path, []))))

    def answer(self, status: int, body: object, kind: str = "application/json") -> None:
        """Send it as JSON; nothing where the status says so."""
        data = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        """Stay quiet."""


if __name__ == "__main__":
    # A server made by hand, which has no keys, takes what our image refuses.
    if SIGNING and (retired := [name for name in RETIRED_NAMES if os.environ.get(name)]):
        print(f"{VERB}: could not read the settings: {', '.join(retired)} cannot be used")
        sys.exit(19)
    if VERB == "migrate":
        print("migrate: done")
        sys.exit(0)
    # The machine with the services has no API; its metrics stand for its health.
    port = os.environ["PREFECT_FLY_METRICS_PORT" if VERB == "services" else "PREFECT_SERVER_API_PORT"]
    address = (os.environ["PREFECT_SERVER_API_HOST"], int(port))
    ThreadingHTTPServer(address, Handler).serve_forever()
