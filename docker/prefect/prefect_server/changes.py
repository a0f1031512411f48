"""What the audit is told of a request that changes something."""

from __future__ import annotations

from prefect_server.asgi import Scope
from prefect_server.audit import Audit
from prefect_server.keys import Verdict
from prefect_server.permission import Kind, Match
from prefect_server.sockets import client_address


def note_change(audit: Audit, scope: Scope, verdict: Verdict, match: Match, kind: Kind, status: int) -> None:
    """Note a request that runs or changes something, and nothing of any other."""
    if kind in {Kind.RUN, Kind.CHANGE}:
        audit.note(
            login=verdict.accepted or "",
            rights=str(verdict.rights),
            method=scope["method"],
            route=match.route.path if match.route else "(unknown)",
            values=match.values,
            status=status,
            client=client_address(scope),
        )
