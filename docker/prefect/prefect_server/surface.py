"""Which requests need no credential.

Open are: GET of the health and ready routes by their exact path, CORS preflights, and the UI's static files (GET and
HEAD). Closed is everything under the API's base path, the gate's own routes, and the generated API description, which
would show the whole schema and costs 10 MB to make.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from urllib.parse import unquote

from prefect_server.asgi import Scope, header_values

API_BASE = "/api"
GATE_BASE = "/gate"
LINEAGE_BASE = "/api/lineage"
KEYS_PATH = "/gate/keys"
STATUS_PATH = "/gate/status"
WHOAMI_PATH = "/gate/whoami"
AUDIT_PATH = "/gate/audit"
HEALTH_PATH = "/api/health"
READY_PATH = "/api/ready"

# Prefect 3.8.8's websockets below the API's base path; one more than these and the server does not start.
SOCKETS = frozenset(
    {
        "/events/in",
        "/events/out",
        "/logs/out",
        "/task_runs/subscriptions/scheduled",
        "/work_pools/{work_pool_name}/workers/connect",
    }
)
_MOST_DECODINGS = 5
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Surface:
    """The line between anonymous and authenticated, given the paths that must be closed beside the API."""

    def __init__(self, closed: Iterable[str]) -> None:
        self.closed = frozenset(path.rstrip("/").lower() for path in closed if path)
        self._sockets = [re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(API_BASE + path))) for path in SOCKETS]

    def is_open(self, scope: Scope) -> bool:
        """Tell whether a request may pass without a credential. An encoded path counts as the path it leads to."""
        path, method = scope["path"], scope["method"]
        if path in {HEALTH_PATH, READY_PATH}:
            return bool(method == "GET") or _is_preflight(scope)
        if _is_preflight(scope):
            return True
        plain = _unmask(path)
        if plain is None or plain in self.closed or _is_below(plain, API_BASE) or _is_below(plain, GATE_BASE):
            return False
        return method in {"GET", "HEAD"}

    def is_mangled(self, scope: Scope) -> bool:
        """Tell whether the path holds a control character, in any encoding.

        No path of Prefect does, and a router's pattern may match before a line feed at the end where ours does not.
        """
        return _CONTROL.search(_decoded(scope["path"]) or "") is not None

    def is_socket(self, scope: Scope) -> bool:
        """Tell whether a websocket is opened on one of the known routes."""
        return any(pattern.fullmatch(scope["path"]) for pattern in self._sockets)


def _is_preflight(scope: Scope) -> bool:
    """Prefect's CORS layer answers these by itself; they reach no route."""
    if scope["method"] != "OPTIONS":
        return False
    return all(header_values(scope, name) for name in (b"origin", b"access-control-request-method"))


def _is_below(path: str, base: str) -> bool:
    return path == base or path.startswith(f"{base}/")


def _decoded(path: str) -> str | None:
    """Undo further percent-encodings; None for a path with too many."""
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            return path
        path = decoded
    return None


def _unmask(path: str) -> str | None:
    """Undo encodings, dots, doubled and backward slashes and case; None for a path with too many encodings."""
    decoded = _decoded(path)
    if decoded is None:
        return None
    collapsed = re.sub(r"[/\\]+", "/", f"/{decoded}")
    return posixpath.normpath(collapsed).lower()
