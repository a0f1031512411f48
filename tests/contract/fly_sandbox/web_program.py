"""The program of test machines: a small web server on HOST:8080 that can be told to misbehave.

Arguments: `serve` (the default), `exit <code>`, `ignore` (serve, and ignore the stop signals).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType


class Handler(BaseHTTPRequestHandler):
    """Answers /, /env, /health, /slow, /stream and /echo."""

    def do_GET(self) -> None:
        """Answer by path."""
        if self.path == "/stream":
            self._stream()
        elif self.path == "/health":
            self._answer("ok", 200 if os.environ.get("UNHEALTHY") is None else 503)
        elif self.path == "/redirect":
            self.send_response(301)
            self.send_header("Location", "/")
            self.end_headers()
        elif self.path == "/headers":
            self._answer(json.dumps({name.lower(): value for name, value in self.headers.items()}))
        elif self.path == "/cut":
            self.close_connection = True
        else:
            if self.path == "/slow":
                time.sleep(0.5)
            self._answer(json.dumps({"machine": os.environ["FLY_MACHINE_ID"], "greeting": os.environ.get("GREETING")}))

    def do_POST(self) -> None:
        """Echo the body."""
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _stream(self) -> None:
        self.send_response(200)
        self.end_headers()
        for number in range(3):
            self.wfile.write(f"part {number}\n".encode())
            self.wfile.flush()
            time.sleep(0.2)

    def _answer(self, text: str, status: int = 200) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _leave(number: int, _frame: FrameType | None) -> None:
    print(f"leaving on {signal.Signals(number).name}", flush=True)
    sys.exit(0)


def main(arguments: list[str]) -> int:
    """Run."""
    print("secret is", "there" if os.environ.get("GREETING") else "absent", flush=True)
    if arguments[:1] == ["exit"]:
        return int(arguments[1])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN if arguments[:1] == ["ignore"] else _leave)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print("child", child.pid, flush=True)
    ThreadingHTTPServer((os.environ["HOST"], 8080), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
