"""Prometheus metrics on a port of their own, which Fly's private network reaches and its proxy does not.

Prefect's own metrics and the process's come from the client library's registry; the gate's counts are added. Nothing
here needs a credential and nothing here holds one: key names are shown, as in the logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest  # type: ignore[import-not-found,unused-ignore]
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily  # type: ignore[import-not-found,unused-ignore]

from prefect_server.counters import Counters

REQUEST_SECONDS = 5.0


class GateCollector:
    """Turns the gate's counts into metrics whenever they are asked for."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterable[object]:
        """The metric families; names and meanings are in docs/gate.md."""
        requests = CounterMetricFamily(
            "prefect_gate_requests", "HTTP requests and websockets by key and outcome.", labels=["key", "outcome"]
        )
        last = GaugeMetricFamily(
            "prefect_gate_last_accepted_timestamp_seconds", "When the key was last accepted.", labels=["key"]
        )
        for name, use in self._counters.by_name.items():
            requests.add_metric([name, "accepted"], use.accepted)
            requests.add_metric([name, "refused"], use.refused)
            if use.last_accepted is not None:
                last.add_metric([name], use.last_accepted)
        requests.add_metric(["", "refused"], self._counters.refused_unknown)
        yield requests
        yield last


@asynccontextmanager
async def serving(host: str, port: int, counters: Counters | None) -> AsyncIterator[None]:
    """Serve GET /metrics while the block runs; without counters only what the process and Prefect count."""
    collector = GateCollector(counters) if counters else None
    if collector:
        REGISTRY.register(collector)
    # Fly's private network is IPv6 only, so "everywhere" has to mean both.
    everywhere = host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound
    server = await asyncio.start_server(_answer, None if everywhere else host, port, limit=8192)
    try:
        yield
    finally:
        server.close()
        if collector:
            REGISTRY.unregister(collector)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(REQUEST_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            body = generate_latest(REGISTRY) if head.startswith(b"GET /metrics ") else b"try /metrics\n"
            status = b"200 OK" if head.startswith(b"GET /metrics ") else b"404 Not Found"
            kind = CONTENT_TYPE_LATEST.encode()
            writer.write(
                b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, kind, len(body), body)
            )
            await writer.drain()
    writer.close()
