"""The event loop of `serve` and of `services`. Importing this imports Prefect, so its settings must be in place."""

from __future__ import annotations

import asyncio
import logging
import signal

import uvicorn  # type: ignore[import-not-found,unused-ignore]
from prefect.settings import get_current_settings  # type: ignore[import-not-found,unused-ignore]

from prefect_server import metrics, prefect_app, prefect_leases, prefect_lineage
from prefect_server.asgi import App
from prefect_server.counters import FloodFilter
from prefect_server.duty import Duty
from prefect_server.ending import REQUESTS_SECONDS, cancel, finishing
from prefect_server.exit_codes import ExitCode
from prefect_server.gate import Gate
from prefect_server.lineage.filling import Filler, filling
from prefect_server.protocol import HeadTimeoutProtocol
from prefect_server.settings import ServerSettings
from prefect_server.socket_protocol import LimitedSocketProtocol
from prefect_server.web_server import Server

logger = logging.getLogger("prefect_fly")

# An event may be 1.5 MB; uvicorn's own limit of 16 MB would let an anonymous client fill a small machine.
LARGEST_SOCKET_MESSAGE = 2 * 1024 * 1024
MOST_QUEUED_SOCKET_MESSAGES = 8


async def serve(settings: ServerSettings, gate: Gate, duty: Duty | None) -> int:
    """Serve HTTP, websockets and metrics until a signal; the exit code is 1 when the gate did not open."""
    prefect = get_current_settings().server
    config = uvicorn.Config(
        _alone(gate, duty) if duty else gate,
        host=settings.host,
        port=settings.port,
        http=HeadTimeoutProtocol,
        lifespan="on",
        log_level=prefect.logging_level.lower(),
        access_log=False,
        server_header=False,
        timeout_keep_alive=prefect.api.keepalive_timeout,
        timeout_graceful_shutdown=REQUESTS_SECONDS,
        ws_ping_interval=prefect.api.websocket_ping_interval,
        ws_ping_timeout=prefect.api.websocket_ping_timeout,
        ws=LimitedSocketProtocol,
        ws_max_size=LARGEST_SOCKET_MESSAGE,
        # A compressed message can be a thousand times as large as what was sent.
        ws_per_message_deflate=False,
        ws_max_queue=MOST_QUEUED_SOCKET_MESSAGES,
    )
    # After uvicorn has configured its loggers: a flood of broken requests must not become a flood of lines.
    logging.getLogger("uvicorn.error").addFilter(FloodFilter())
    server = Server(config, gate.open_sockets)
    filler = None if settings.separate_services else _filler(settings)
    serving = metrics.serving(settings.host, settings.metrics_port, gate)
    async with serving, gate.audit.keeping(), filling(filler):
        logger.info("serving on %s:%d, metrics on port %d", settings.host, settings.port, settings.metrics_port)
        await server.serve()
    await prefect_leases.LINE.close()
    return ExitCode.OK if server.started else ExitCode.OTHER


def _filler(settings: ServerSettings) -> Filler:
    return Filler(prefect_lineage.borrow, schema=settings.schema, keep_days=settings.lineage_days)


def _alone(gate: Gate, duty: Duty) -> App:
    """Put around the gate what a server needs that shares no queue with others."""
    messages = prefect_app.MessagesInMemory()
    messages.count()
    return duty.around(finishing(gate, messages))


async def services(settings: ServerSettings) -> int:
    """Run the background services and serve metrics until a signal."""
    running = asyncio.ensure_future(prefect_app.run_services())
    # Prefect's own command does not handle SIGTERM: it would be cut off in the middle of whatever it does.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, cancel, running)
    async with metrics.serving(settings.host, settings.metrics_port, None), filling(_filler(settings)):
        logger.info("running the background services, metrics on port %d", settings.metrics_port)
        try:
            await running
        except asyncio.CancelledError:
            pass
        except AssertionError as error:
            # Prefect's services assert that they have begun, when they are told to end.
            if not running.cancelling():
                raise
            logger.info("told to end before all services had begun (%s)", error)
    return ExitCode.OK
