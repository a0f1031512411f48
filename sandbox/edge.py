"""The edge: what Fly's proxy is to `<app>.fly.dev`, on loopback ports.

Every app has a port of its own, allocated when somebody asks for it, even before the app exists. The port refuses
connections until the app has a public address and a machine with a service, and a short while longer: that is what an
unresolved name looks like here. A second port routes by the Host header `<app>.fly.localhost`.

A request goes to one healthy machine. There is no queue: with no healthy machine the answer is 503 at once. A machine
that cannot be connected to is passed over for the next, but once a byte was sent nothing is tried again. Bodies, event
streams and websockets are passed on as they come. Client connections are not kept alive.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets as randomness
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.core.clock import Clock
from sandbox.core.ports import port_candidates

_HEAD_LIMIT = 65_536
_HEAD_TIMEOUT = 30.0
_CONNECT_TIMEOUT = 3.0
_CHUNK = 65_536
_HOST_SUFFIX = ".fly.localhost"
_HOP_HEADERS = frozenset({"connection", "keep-alive", "proxy-connection", "upgrade", "http2-settings"})
_FORWARDED = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "fly-request-id", "fly-client-ip"})


@dataclass(frozen=True)
class Backend:
    """One machine that offers the app's service."""

    machine_id: str
    host: str
    port: int
    healthy: bool


@dataclass(frozen=True)
class Route:
    """What the edge knows of an app.

    Attributes:
        resolves: whether its name leads anywhere at all.
        backends: its started machines that are not cordoned.
        force_https: whether plain HTTP would be redirected by the real proxy.
        region: of the answering proxy.
    """

    resolves: bool
    backends: tuple[Backend, ...] = ()
    force_https: bool = False
    region: str = "ewr"


@dataclass
class _Door:
    """An app's port: held by a socket that does not listen, or open."""

    port: int
    holder: socket.socket | None
    server: asyncio.Server | None = None
    opening: asyncio.Task[None] | None = None
    resolved: bool = False


@dataclass
class _Head:
    """The first line and the headers of a request or response."""

    line: str
    headers: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, raw: bytes) -> _Head:
        lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise ValueError(line)
            headers.append((name, value.strip()))
        return cls(lines[0], headers)

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    def without(self, names: frozenset[str]) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.headers if name.lower() not in names]

    def encode(self, headers: list[tuple[str, str]]) -> bytes:
        lines = [self.line, *(f"{name}: {value}" for name, value in headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Edge:
    """The ports of all apps.

    Args:
        clock: for the resolve delay.
        directory: what is known of an app by its name.
        resolve_delay: seconds from a route's first appearance until its port opens.
        ports: ports used before, by app; taken again where they are free.
    """

    def __init__(
        self,
        clock: Clock,
        directory: Callable[[str], Route],
        *,
        resolve_delay: float = 1.0,
        ports: dict[str, int] | None = None,
    ) -> None:
        self.resolve_delay = resolve_delay
        self.gateway_port: int | None = None
        self._clock = clock
        self._directory = directory
        self._wanted = dict(ports or {})
        self._doors: dict[str, _Door] = {}
        self._gateway: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._turns: dict[str, int] = {}

    def port_of(self, app: str) -> int:
        """Return the app's port; the same for ever, whether or not the app exists."""
        if app not in self._doors:
            holder = _hold(self._wanted.get(app, 0))
            self._doors[app] = _Door(port=int(holder.getsockname()[1]), holder=holder)
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
        holder = _hold(gateway_port, exactly=bool(gateway_port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._gateway = await asyncio.start_server(
            lambda reader, writer: self._connected(None, reader, writer), sock=holder, limit=_HEAD_LIMIT
        )
        self.gateway_port = int(self._gateway.sockets[0].getsockname()[1])
        return self.gateway_port

    async def stop(self) -> None:
        """Close all ports and connections."""
        for door in self._doors.values():
            self._shut(door)
            if door.holder is not None:
                door.holder.close()
                door.holder = None
        if self._gateway is not None:
            self._gateway.close()
        self._wanted, self._doors = self.ports, {}
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def refresh(self, app: str) -> None:
        """Open or shut the app's port after something about the app has changed."""
        self.port_of(app)
        door = self._doors[app]
        resolves = self._directory(app).resolves
        if resolves and not door.resolved:
            door.resolved = True
            door.opening = asyncio.ensure_future(self._open_later(app, door))
        elif not resolves and door.resolved:
            self._shut(door)
            door.holder = _hold(door.port, exactly=True)

    def is_open(self, app: str) -> bool:
        """Tell whether the app's port takes connections."""
        door = self._doors.get(app)
        return door is not None and door.server is not None

    async def _open_later(self, app: str, door: _Door) -> None:
        await self._clock.sleep(self.resolve_delay)
        holder, door.holder = door.holder, None
        assert holder is not None  # noqa: S101 - a door that is shut is held
        # Only connections whose listener allowed reuse let the port be bound again while they linger. Not earlier: two
        # sockets that allow it and do not listen could hold the same port.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.server = await asyncio.start_server(
            lambda reader, writer: self._connected(app, reader, writer), sock=holder, limit=_HEAD_LIMIT
        )

    @staticmethod
    def _shut(door: _Door) -> None:
        door.resolved = False
        if door.opening is not None:
            door.opening.cancel()
        if door.server is not None:
            door.server.close()
            door.server = None
        elif door.holder is not None:
            door.holder.close()
            door.holder = None

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
            request = _Head.parse(raw)
        except (asyncio.LimitOverrunError, ValueError):
            return await _answer(writer, "400 Bad Request", "the request cannot be read")
        except TimeoutError:
            return None
        if app is None:
            app = request.get("host").partition(":")[0].removesuffix(_HOST_SUFFIX)
            if not self._directory(app).resolves:
                return await _answer(writer, "404 Not Found", f'no app "{app}" has a name here')
        return await self._forward(app, request, reader, writer)

    async def _forward(
        self, app: str, request: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        route = self._directory(app)
        request_id = f"01{randomness.token_hex(12).upper()}-{route.region}"
        candidates = self._candidates(app, route, request.get("fly-force-instance-id"))
        if not candidates:
            return await _answer(writer, "503 Service Unavailable", "no healthy machine", request_id)
        upstream = await _connect(candidates)
        if upstream is None:
            return await _answer(writer, "502 Bad Gateway", "no machine took the connection", request_id)
        peer = writer.get_extra_info("peername")
        head = request.encode(_request_headers(request, peer[0] if peer else "127.0.0.1", request_id, route.region))
        try:
            await _exchange(head, request, (reader, writer), upstream, _extra_headers(route, request_id))
        finally:
            upstream[1].transport.abort()
        return None

    def _candidates(self, app: str, route: Route, forced: str) -> list[Backend]:
        healthy = [backend for backend in route.backends if backend.healthy]
        if forced:
            return [backend for backend in healthy if backend.machine_id == forced]
        if not healthy:
            return []
        turn = self._turns[app] = (self._turns.get(app, -1) + 1) % len(healthy)
        return healthy[turn:] + healthy[:turn]


def _hold(port: int, *, exactly: bool = False) -> socket.socket:
    """Bind a port without listening on it: nobody else gets it, and connecting to it is refused.

    Raises:
        OSError: exactly this port is wanted and somebody else has it; otherwise any free one is taken then.
    """
    problem = OSError("no port to hold")
    wanted = [port] if port else []
    for candidate in [*wanted, *([] if exactly else port_candidates())]:
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if candidate == port:  # its own last connections may linger in TIME_WAIT
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            holder.bind(("127.0.0.1", candidate))
        except OSError as taken:
            holder.close()
            problem = taken
            continue
        holder.setblocking(False)
        return holder
    raise problem


async def _connect(candidates: list[Backend]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    for backend in candidates:
        try:
            opening = asyncio.open_connection(backend.host, backend.port, limit=_HEAD_LIMIT)
            return await asyncio.wait_for(opening, _CONNECT_TIMEOUT)
        except (OSError, TimeoutError):
            continue  # nothing was sent yet, so the next machine may have it
    return None


def _request_headers(request: _Head, client: str, request_id: str, region: str) -> list[tuple[str, str]]:
    headers = request.without(_HOP_HEADERS | _FORWARDED)
    if request.get("upgrade").lower() == "websocket":
        headers += [("Connection", "Upgrade"), ("Upgrade", request.get("upgrade"))]
    else:
        headers.append(("Connection", "close"))
    before = request.get("x-forwarded-for")
    return [
        *headers,
        ("X-Forwarded-For", f"{before}, {client}" if before else client),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Port", "80"),
        ("Fly-Client-IP", client),
        ("Fly-Forwarded-Proto", "http"),
        ("Fly-Forwarded-Port", "80"),
        ("Fly-Region", region),
        ("Fly-Request-Id", request_id),
        ("Via", "1.1 fly.io"),
    ]


def _extra_headers(route: Route, request_id: str) -> list[tuple[str, str]]:
    headers = [("Via", "1.1 fly.io"), ("Fly-Request-Id", request_id)]
    if route.force_https:
        headers.append(("Fly-Sandbox-Force-Https", "would redirect"))
    return headers


async def _exchange(
    head: bytes,
    request: _Head,
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    extra: list[tuple[str, str]],
) -> None:
    upstream[1].write(head)
    upload = asyncio.create_task(_pump(client[0], upstream[1]))
    download = asyncio.create_task(_respond(upstream[0], client[1], extra))
    try:
        await asyncio.wait({upload, download}, return_when=asyncio.FIRST_COMPLETED)
        if not download.done() and not request.get("upgrade"):
            # The client has gone: the machine is told by its connection closing.
            return
        if not download.done():
            upstream[1].write_eof()
        await download
    finally:
        for task in (upload, download):
            task.cancel()
        await asyncio.wait({upload, download})
        for task in (upload, download):
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it as lost


async def _respond(source: asyncio.StreamReader, target: asyncio.StreamWriter, extra: list[tuple[str, str]]) -> None:
    while True:
        try:
            response = _Head.parse(await source.readuntil(b"\r\n\r\n"))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, ConnectionError):
            # Bytes were sent to the machine: whether they had an effect is unknown, so nobody else gets them.
            await _answer(target, "502 Bad Gateway", "the machine closed the connection", extra[1][1])
            return
        status = response.line.split(" ", 2)[1]
        if status.startswith("1") and status != "101":
            target.write(response.encode(response.headers))
            continue
        headers = response.headers
        if status != "101":
            headers = [*response.without(_HOP_HEADERS), ("Connection", "close")]
        target.write(response.encode([*headers, *extra]))
        break
    await target.drain()
    await _pump(source, target)


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
        await target.drain()


async def _answer(writer: asyncio.StreamWriter, status: str, text: str, request_id: str = "") -> None:
    body = (text + "\n").encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"Fly-Request-Id: {request_id}", "Via: 1.1 fly.io"] if request_id else []
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    await writer.drain()
