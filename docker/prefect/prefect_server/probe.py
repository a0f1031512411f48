"""Makes one HTTP request from inside the app's network: `python -m prefect_server.probe`, run beside a server.

A private server can be asked from here alone. The request comes on standard input, as it may hold a key, and the answer
goes to standard output; both are one JSON object. Nothing but the standard library is imported: the machine is small.
"""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

BODY_LIMIT = 1_000_000  # bytes of an answer that are passed on


def ask(request: Mapping[str, Any]) -> dict[str, Any]:
    """Make the request and return `status`, `headers` and `body`, or `error`; redirects are not followed.

    Args:
        request: `method`, `url`, `headers`, `body` (text or null) and `timeout` in seconds.
    """
    address = urlsplit(str(request["url"]))
    secure = address.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=float(request["timeout"]))
    path = (address.path or "/") + (f"?{address.query}" if address.query else "")
    try:
        connection.request(str(request["method"]), path, request.get("body"), dict(request.get("headers") or {}))
        response = connection.getresponse()
        body = response.read(BODY_LIMIT)
    except (OSError, http.client.HTTPException) as silence:
        return {"error": f"{type(silence).__name__}: {silence}"}
    finally:
        connection.close()
    return {"status": response.status, "headers": dict(response.getheaders()), "body": body.decode(errors="replace")}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(json.loads(sys.stdin.read()))) + "\n")
