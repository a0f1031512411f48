"""A webhook's other side on loopback: it keeps what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import until


@dataclass
class Receiver:
    """What arrived so far, and where to send to; the last part of the address is secret."""

    url: str = ""
    messages: list[Mapping[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def wait_for(self, wanted: Callable[[Mapping[str, Any]], bool]) -> Mapping[str, Any]:
        """Return the first message of that kind, waiting for it."""
        found = until(lambda: [message for message in [*self.messages] if wanted(message)], lambda: self.messages)
        return found[0]


@contextmanager
def receiving(path: str) -> Iterator[Receiver]:
    """Listen at `path` while the block runs."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.paths.append(self.path)
            found.messages.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}{path}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
