"""Small real HTTP servers that answer JSON; one of them is an orchestrator's health endpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def json_server(answer: Callable[[str, str], tuple[int, Any]]) -> Iterator[str]:
    """Serve what `answer` makes of a path and its Authorization header; yield the address without a slash."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = answer(self.path, self.headers.get("Authorization", ""))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_args: object) -> None:  # noqa: A002 - the name is the base class's
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def health_server(prefect: Callable[[], str]) -> Iterator[str]:
    """Serve what `prefect` returns as components.prefect, for machines without a program; yield the URL."""
    with json_server(lambda _path, _authorization: (200, {"components": {"prefect": prefect()}})) as address:
        yield f"{address}/health"
