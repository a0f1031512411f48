"""Everything that touches Prefect's insides to serve it: its application, its routes, its services.

None of it is a documented interface; versions.py says which Prefect it was proved with, and what cannot be recognised
is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI  # type: ignore[import-not-found,unused-ignore]
from prefect.cli._server_utils import _run_all_services  # type: ignore[import-not-found,unused-ignore]
from prefect.server.api.server import create_app  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import SelfCheckError
from prefect_server.surface import API_BASE, SOCKETS

Unknown = Any  # Prefect's and FastAPI's own objects


def create(*, webserver_only: bool) -> Unknown:
    """Make Prefect's ASGI application as `prefect server start` does."""
    app = create_app(final=True, webserver_only=webserver_only)
    # Prefect logs every refused websocket; the gate does that too, and does not let itself be flooded.
    # A filter, because Prefect sets its loggers' levels again whenever it likes.
    logging.getLogger("prefect.server.utilities.subscriptions").addFilter(_is_error)
    return app


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def closed_paths(app: Unknown) -> frozenset[str]:
    """The paths outside the API's base that describe the API: /docs, /redoc, /openapi.json and the like."""
    apps = [app, *(route.app for route in app.routes if isinstance(getattr(route, "app", None), FastAPI))]
    names = ("openapi_url", "docs_url", "redoc_url", "swagger_ui_oauth2_redirect_url")
    return frozenset(path for each in apps for name in names if (path := getattr(each, name)))


def require_known_routes(app: Unknown) -> None:
    """Compare Prefect's websockets with the ones the gate knows.

    Raises:
        SelfCheckError: there is one more or one less, or routes the gate cannot look into.
    """
    sockets = set()
    for mount in app.routes:
        path = getattr(mount, "path", "")
        inner = getattr(getattr(mount, "app", None), "routes", None)
        found = {f"{path}{each}" for each in _socket_paths(inner if inner is not None else [mount])}
        sockets |= found
    expected = {API_BASE + path for path in SOCKETS}
    if sockets != expected:
        odd = sorted(sockets ^ expected)
        raise SelfCheckError(f"Prefect's websockets are not the known ones: {', '.join(odd)}")


def _socket_paths(routes: Iterable[Unknown]) -> Iterator[str]:
    for route in routes:
        if hasattr(route, "effective_candidates"):  # FastAPI's included router
            candidates = route.effective_candidates()
            yield from _socket_paths(getattr(each, "original_route", None) or each for each in candidates)
        elif "websocket" in type(route).__name__.lower():
            yield route.path
        elif not hasattr(route, "path"):
            raise SelfCheckError(f"Prefect has a route of an unknown kind: {type(route).__name__}")
        elif getattr(getattr(route, "app", None), "routes", None) is not None:
            yield from (f"{route.path}{each}" for each in _socket_paths(route.app.routes))


async def run_services() -> None:
    """Run all background services until cancelled, as `prefect server services start` does."""
    await _run_all_services()
