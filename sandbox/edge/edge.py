"""The edge itself: takes connections on every app's port, picks a machine and passes them on."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as randomness
import socket
from collections.abc import Callable
from functools import partial

from sandbox.core.clock import Clock
from sandbox.core.faults import Faults
from sandbox.core.journal import Journal
from sandbox.core.ports import take_nobody_new
from sandbox.edge.doors import Door, hold
from sandbox.edge.head import Head, extra_headers, request_headers
from sandbox.edge.meeting import Meeting
from sandbox.edge.passing import HEAD_LIMIT, Target, answer, connect, exchange
from sandbox.edge.route import Backend, Route

_HEAD_TIMEOUT = 30.0
_HOST_SUFFIX = ".fly.localhost"


class Edge:
    """The ports of all apps.

    Args:
        clock: for the resolve delay.
        directory: what is known of an app by its name.
        resolve_delay: seconds from a route's first appearance until its port opens.
        ports: ports used before, by app; taken again where they are free.
        faults: scripted trouble; a call's path begins with the app's name there: `/app/path`.

    Attributes:
        journal: where calls are noted, with such paths. Nowhere unless somebody says so: what polls, polls for ever.
    """

    def __init__(
        self,
        clock: Clock,
        directory: Callable[[str], Route],
        *,
        resolve_delay: float = 1.0,
        ports: dict[str, int] | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.resolve_delay = resolve_delay
        self.journal: Journal | None = None
        self._meeting = Meeting(faults or Faults(), clock)
        self.gateway_port: int | None = None
        self._clock = clock
        self._directory = directory
        self._wanted = dict(ports or {})
        self._doors: dict[str, Door] = {}
        self._gateway: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._turns: dict[str, int] = {}

    def port_of(self, app: str) -> int:
        """Return the app's port; the same for ever, whether or not the app exists."""
        if app not in self._doors:
            holder = hold(self._wanted.get(app, 0))
            self._doors[app] = Door(port=int(holder.getsockname()[1]), holder=holder)
        return self._doors[app].port

    def url_of(self, app: str) -> str:
        """Return the app's address on its own port."""
        return f"http://127.0.0.1:{self.port_of(app)}"

    @property
    def ports(self) -> dict[str, int]:
        """Return all ports by app, to be kept for the next start."""
        return self._wanted | {app: door.port for app, door in self._doors.items()}

    async def start(self, gateway_port: int = 0) -> int:
        """Open the port that routes by Host header and return it."""
        holder = hold(gateway_port, exactly=bool(gateway_port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._gateway = await asyncio.start_server(
            lambda reader, writer: self._connected(None, reader, writer), sock=holder, limit=HEAD_LIMIT
        )
        self.gateway_port = int(self._gateway.sockets[0].getsockname()[1])
        return self.gateway_port

    async def stop(self) -> None:
        """Close all ports and connections."""
        for door in self._doors.values():
            self._shut(door)
        for closing in [door.closing for door in self._doors.values() if door.closing]:
            await closing
        if self._gateway is not None:
            await _end(self._gateway)
        for door in self._doors.values():
            if door.holder is not None:
                door.holder.close()
                door.holder = None
        self._wanted, self._doors = self.ports, {}
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def refresh(self, app: str) -> None:
        """Open or shut the app's port, and those of names of one's own, after something about the app has changed."""
        names = [name for name in self._doors if "." in name and name != app]
        for name in (app, *names):
            self._refresh(name)

    def _refresh(self, app: str) -> None:
        self.port_of(app)
        door = self._doors[app]
        resolves = self._directory(app).resolves
        if resolves and not door.resolved:
            door.resolved = True
            door.opening = asyncio.ensure_future(self._open_later(app, door))
        elif not resolves and door.resolved:
            self._shut(door)

    def is_open(self, app: str) -> bool:
        """Tell whether the app's port takes connections."""
        door = self._doors.get(app)
        return door is not None and door.server is not None

    async def _open_later(self, app: str, door: Door) -> None:
        await self._clock.sleep(self.resolve_delay)
        if door.closing is not None:
            await door.closing
        holder, door.holder = door.holder, None
        assert holder is not None  # noqa: S101 - a door that is shut is held
        # Only connections whose listener allowed reuse let the port be bound again while they linger. Not earlier: two
        # sockets that allow it and do not listen could hold the same port.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.server = await asyncio.start_server(
            lambda reader, writer: self._connected(app, reader, writer), sock=holder, limit=HEAD_LIMIT
        )

    def _shut(self, door: Door) -> None:
        door.resolved = False
        if door.opening is not None:
            door.opening.cancel()
        if door.server is not None:
            server, door.server = door.server, None
            door.closing = asyncio.ensure_future(self._close(door, server))

    @staticmethod
    async def _close(door: Door, server: asyncio.Server) -> None:
        await _end(server)
        door.holder = hold(door.port, exactly=True)

    # One connection

    async def _connected(self, app: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs connection callbacks as tasks
        self._connections.add(task)
        try:
            await self._serve(app, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _serve(self, app: str | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_TIMEOUT)
            request = Head.parse(raw)
        except (asyncio.LimitOverrunError, ValueError):
            await answer(writer, "400 Bad Request", "the request cannot be read\n")
            return
        except TimeoutError:
            return
        if app is None:
            app = request.get("host").partition(":")[0].removesuffix(_HOST_SUFFIX)
            if not self._directory(app).resolves:
                await answer(writer, "404 Not Found", f'no app "{app}" has a name here\n')
                return
        method, path = request.call
        status, path = 0, f"/{app}{path}"
        try:
            forward = partial(self._forward, app, request, reader, writer.get_extra_info("peername"))
            status = await self._meeting.through((method, path), request, (reader, writer), forward)
        finally:
            if self.journal is not None:
                self.journal.record("edge", method, path, status)

    async def _forward(
        self, app: str, request: Head, reader: asyncio.StreamReader, peer: tuple[str, int] | None, target: Target
    ) -> int:
        route = self._directory(app)
        if route.private and route.force_https:
            return await answer(target, "301 Moved Permanently", "force_https: no HTTPS in the private network\n")
        request_id = f"01{randomness.token_hex(12).upper()}-{route.region}"
        candidates = self._candidates(app, route, request.get("fly-force-instance-id"))
        if not candidates:
            return await answer(target, "503 Service Unavailable", "no healthy machine\n", request_id)
        upstream = await connect(candidates)
        if upstream is None:
            return await answer(target, "502 Bad Gateway", "no machine took the connection\n", request_id)
        head = request.encode(request_headers(request, peer[0] if peer else "127.0.0.1", request_id, route.region))
        try:
            return await exchange(head, request, (reader, target), upstream, extra_headers(route, request_id))
        finally:
            upstream[1].transport.abort()

    def _candidates(self, app: str, route: Route, forced: str) -> list[Backend]:
        healthy = [backend for backend in route.backends if backend.healthy]
        if forced:
            return [backend for backend in healthy if backend.machine_id == forced]
        if not healthy:
            return []
        turn = self._turns[app] = (self._turns.get(app, -1) + 1) % len(healthy)
        return healthy[turn:] + healthy[:turn]


async def _end(server: asyncio.Server) -> None:
    await take_nobody_new(server.sockets)
    server.close()
