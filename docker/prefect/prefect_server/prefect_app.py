"""Everything that touches Prefect's insides to serve it: its application, its routes, its services.

None of it is a documented interface; versions.py says which Prefect it was proved with, and what cannot be recognised
is refused.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fastapi import FastAPI  # type: ignore[import-not-found,unused-ignore]
from prefect.server.api.server import create_app  # type: ignore[import-not-found,unused-ignore]
from prefect.server.events import triggers  # type: ignore[import-not-found,unused-ignore]
from prefect.server.services import perpetual_services  # type: ignore[import-not-found,unused-ignore]
from prefect.server.utilities.messaging.memory import Consumer, Topic  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import SelfCheckError
from prefect_server.permission import Routes
from prefect_server.prefect_outage import answer_maintenance
from prefect_server.surface import API_BASE, SOCKETS

Unknown = Any  # Prefect's and FastAPI's own objects


def create(*, webserver_only: bool) -> Unknown:
    """Make Prefect's ASGI application as `prefect server start` does."""
    answer_maintenance()
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
    sockets = {path for path, route in all_routes(app.routes) if _is_socket(route)}
    expected = {API_BASE + path for path in SOCKETS}
    if sockets != expected:
        odd = sorted(sockets ^ expected)
        raise SelfCheckError(f"Prefect's websockets are not the known ones: {', '.join(odd)}")


def odd_routes(app: Unknown) -> list[str]:
    """The routes below the API's base that routes.py does not have, has in vain, or that are matched otherwise here."""
    real = {
        (method, path): getattr(route, "path_regex", None)
        for path, route in all_routes(app.routes)
        if path.startswith(f"{API_BASE}/") and not _is_socket(route)
        for method in getattr(route, "methods", None) or ("GET", "HEAD")  # a mount of files
    }
    known = {(route.method, route.template): route.pattern for route in Routes().all}
    different = {each for each in real.keys() & known.keys() if not _same(real[each], known[each])}
    return [" ".join(each) for each in sorted((real.keys() ^ known.keys()) | different)]


def _same(theirs: re.Pattern[str] | None, ours: re.Pattern[str]) -> bool:
    return theirs is not None and API_BASE + theirs.pattern[1:] == ours.pattern[1:]


def _is_socket(route: Unknown) -> bool:
    return "websocket" in type(route).__name__.lower()


def all_routes(routes: Iterable[Unknown], base: str = "") -> Iterator[tuple[str, Unknown]]:
    """Every route with its whole path, as deep as they go.

    Raises:
        SelfCheckError: there is a route of a kind that cannot be looked into.
    """
    for route in routes:
        if hasattr(route, "effective_candidates"):  # FastAPI's included router
            candidates = route.effective_candidates()
            yield from all_routes((getattr(each, "original_route", None) or each for each in candidates), base)
        elif not hasattr(route, "path"):
            raise SelfCheckError(f"Prefect has a route of an unknown kind: {type(route).__name__}")
        elif getattr(getattr(route, "app", None), "routes", None):
            yield from all_routes(route.app.routes, base + route.path)
        elif type(route).__name__ == "Mount":  # a folder of files
            yield f"{base}{route.path}/{{path:path}}", route
        else:
            yield base + route.path, route


class MessagesInMemory:
    """The messages that Prefect's services have in this process's memory."""

    def __init__(self) -> None:
        self._in_hand = self._finished = 0

    def count(self) -> None:
        """Count from now on what services take and finish; before any of them runs."""
        run = Consumer.run

        async def counting(consumer: Unknown, handler: Unknown) -> None:
            async def counted(message: Unknown) -> None:
                self._in_hand += 1
                try:
                    await handler(message)
                    self._finished += 1
                finally:
                    self._in_hand -= 1

            await run(consumer, counted)

        Consumer.run = counting

    def left(self) -> int:
        """Count those that wait or are being worked on."""
        subscriptions = [each for topic in Topic._topics.values() for each in topic._subscriptions]  # noqa: SLF001
        waiting = sum(each._queue.qsize() + each._retry.qsize() for each in subscriptions)  # noqa: SLF001
        return self._in_hand + int(waiting)

    def finished(self) -> int:
        """Count those that were worked on since the server began."""
        return self._finished


def guard_periodic_services(guarded: Callable[[Unknown], Unknown]) -> None:
    """Put `guarded` around what Prefect runs by the clock: scheduling, late runs, proactive automations and the like.

    Raises:
        SelfCheckError: Prefect no longer keeps them where they were found.
    """
    # The application knows all of them by now: its worker's module imports theirs.
    if not perpetual_services._PERPETUAL_SERVICES:  # noqa: SLF001 - there is no public name
        raise SelfCheckError("Prefect's periodic services are not where they were")
    for service in perpetual_services._PERPETUAL_SERVICES:  # noqa: SLF001
        service.function = guarded(service.function)


def guard_reactions(guarded: Callable[[Unknown], Unknown]) -> None:
    """Put `guarded` around what Prefect does with each event to see whether an automation reacts to it.

    Raises:
        SelfCheckError: Prefect no longer does it where it did.
    """
    if not callable(getattr(triggers, "reactive_evaluation", None)):
        raise SelfCheckError("Prefect's automations are not where they were")
    triggers.reactive_evaluation = guarded(triggers.reactive_evaluation)


async def run_services() -> None:
    """Run all background services until cancelled, as `prefect server services start` does."""
    from prefect.cli._server_utils import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - it loads the whole command line, which a server does without
        _run_all_services,
    )

    await _run_all_services()
