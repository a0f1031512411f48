"""Prometheus metrics on a port of their own, which Fly's private network reaches and its proxy does not.

Prefect's own metrics and the process's come from the client library's registry; the gate's counts and what the
database looks like are added. Nothing here needs a credential and nothing here holds one: key names are shown, as in
the logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest  # type: ignore[import-not-found,unused-ignore]
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily  # type: ignore[import-not-found,unused-ignore]

from prefect_server.gate import Gate
from prefect_server.observing import Database, Pool, Timings

REQUEST_SECONDS = 30.0
Families = Iterable[object]


class GateCollector:
    """Turns what the gate and its observer know into metrics; names and meanings are in docs/monitoring.md."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Families:
        """The metric families; the database's are of the newest look, which whoever answers has to take first."""
        yield from self._requests()
        yield from _timings(self._gate.counters.timings)
        yield from _pool(self._gate.observer.pool())
        yield from _database(self._gate.observer.database)

    def _requests(self) -> Families:
        counters = self._gate.counters
        requests = CounterMetricFamily(
            "prefect_gate_requests", "HTTP requests and websockets by key and outcome.", labels=["key", "outcome"]
        )
        last = GaugeMetricFamily(
            "prefect_gate_last_accepted_timestamp_seconds", "When the key was last accepted.", labels=["key"]
        )
        for name, use in counters.by_name.items():
            requests.add_metric([name, "accepted"], use.accepted)
            requests.add_metric([name, "refused"], use.refused)
            requests.add_metric([name, "forbidden"], use.forbidden)
            if use.last_accepted is not None:
                last.add_metric([name], use.last_accepted)
        requests.add_metric(["", "refused"], counters.refused_unknown)
        yield requests
        yield last
        yield CounterMetricFamily(
            "prefect_gate_audit_not_kept", "Audit lines that are only in the log.", self._gate.audit.not_kept
        )


def _timings(timings: Timings) -> Families:
    responses = CounterMetricFamily(
        "prefect_gate_responses", "Answers to accepted HTTP requests by class of status.", labels=["class"]
    )
    for kind, number in timings.by_class.items():
        responses.add_metric([kind], number)
    yield responses
    seconds = HistogramMetricFamily("prefect_gate_request_seconds", "How long accepted HTTP requests took.")
    seconds.add_metric([], timings.buckets(), timings.seconds)
    yield seconds


def _pool(pool: Pool | None) -> Families:
    connections = GaugeMetricFamily(
        "prefect_server_pool_connections", "Connections of this process to the database.", labels=["state"]
    )
    connections.add_metric(["used"], pool.used if pool else 0)
    connections.add_metric(["idle"], pool.idle if pool else 0)
    yield connections
    if pool:
        yield GaugeMetricFamily("prefect_server_pool_limit", "Most connections of this process.", pool.limit)


def _database(database: Database | None) -> Families:
    yield GaugeMetricFamily("prefect_server_database_up", "1 when the database answered.", int(database is not None))
    if database is None:
        return
    for name, meaning, value in (
        ("database_size_bytes", "Size of the whole database.", database.size_bytes),
        ("database_connections", "Connections of everybody to this database.", database.connections),
        ("database_connections_limit", "Most connections that the database server takes.", database.connections_limit),
        ("flow_runs_late", "Flow runs that should have begun more than 15 seconds ago.", database.late),
        ("flow_runs_lateness_seconds", "How late the latest of them is.", database.lateness_seconds),
    ):
        yield GaugeMetricFamily(f"prefect_server_{name}", meaning, value)
    for name, meaning, counts in (
        ("flow_runs_open", "Flow runs that have not ended, by type of state.", database.open),
        ("flow_runs_ended", "Flow runs that ended in the last hour, by type of state.", database.ended),
    ):
        family = GaugeMetricFamily(f"prefect_server_{name}", meaning, labels=["state"])
        for state, number in counts.items():
            family.add_metric([state], number)
        yield family


@asynccontextmanager
async def serving(host: str, port: int, gate: Gate | None) -> AsyncIterator[None]:
    """Serve GET /metrics while the block runs; without a gate only what the process and Prefect count."""
    collector = GateCollector(gate) if gate else None
    if collector:
        REGISTRY.register(collector)
    # Fly's private network is IPv6 only, so "everywhere" has to mean both.
    everywhere = host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answer(reader, writer, gate)

    server = await asyncio.start_server(answer, None if everywhere else host, port, limit=8192)
    try:
        yield
    finally:
        server.close()
        if collector:
            REGISTRY.unregister(collector)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: Gate | None) -> None:
    with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(REQUEST_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            found = head.startswith(b"GET /metrics ")
            if found and gate and gate.opened:
                await gate.observer.look()
            body = generate_latest(REGISTRY) if found else b"try /metrics\n"
            status = b"200 OK" if found else b"404 Not Found"
            kind = CONTENT_TYPE_LATEST.encode()
            writer.write(
                b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
                % (status, kind, len(body), body)
            )
            await writer.drain()
    writer.close()
