"""The gate: an ASGI application around Prefect's, in the same process, that gives Prefect named API keys.

A self-hosted Prefect knows one shared auth string. The gate makes that string up at every start, tells it to nobody,
and puts it into requests whose own credential is the key of some name. What has no such credential is answered here
and never reaches Prefect, whose own check stays behind it as a second lock.

Until the self-check has passed everything is answered with 503; if it fails the server does not start.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress

from prefect_server import publishing
from prefect_server.asgi import (
    POLICY_VIOLATION,
    App,
    Message,
    Receive,
    Scope,
    Send,
    answer_json,
    header_values,
    refuse_socket,
)
from prefect_server.asgi import without_header as _without
from prefect_server.audit import Audit
from prefect_server.changes import note_change
from prefect_server.counters import Counters, client_version
from prefect_server.credentials import from_header
from prefect_server.key_follower import KeyFollower, KeysNotReadError
from prefect_server.keys import NOBODY, KeyRing, Rights, Verdict
from prefect_server.lineage import pages as lineage_pages
from prefect_server.lineage.routes import Lineage
from prefect_server.observing import Observer
from prefect_server.open_sockets import OpenSocket, OpenSockets
from prefect_server.pages import Pages
from prefect_server.permission import OWN, Routes, Sockets, permit, permit_own, refuse
from prefect_server.ready import SharedReady
from prefect_server.sockets import (
    SUBPROTOCOL,
    Handshake,
    WaitingRoom,
    for_a_silent_client,
    lift_limit,
    loop_time,
    socket_name,
    with_reason,
)
from prefect_server.surface import (
    AUDIT_PATH,
    GATE_BASE,
    KEYS_PATH,
    LINEAGE_BASE,
    READY_PATH,
    STATUS_PATH,
    WHOAMI_PATH,
    Surface,
)

# A static file that takes longer than this to be read by an anonymous client is not read in earnest.
ANONYMOUS_SECONDS = 60.0

OLD_CLIENT = (
    "This server speaks Prefect 3 and a Prefect {version} client cannot talk to it: install the server's version, "
    "which GET /api/admin/version tells."
)


class SelfCheckError(RuntimeError):
    """The gate or Prefect's own lock does not hold; the text says which part. The server must not start."""


SelfCheck = Callable[["Gate"], Awaitable[None]]


class Gate:
    """Wraps Prefect's ASGI application.

    `keys` are exchanged whole, by `exchange` once the gate is open; `follower`, if there is one, does that by itself.
    """

    def __init__(
        self,
        app: App,
        *,
        keys: KeyRing,
        auth_string: str,
        surface: Surface,
        counters: Counters,
        observer: Observer,
        lineage: Lineage,
        self_check: SelfCheck,
    ) -> None:
        self.app = app
        self.keys = keys
        self.surface = surface
        self.counters = counters
        self.observer = observer
        self.lineage = lineage
        self.audit = Audit()
        self.opened = False
        self.room = WaitingRoom()
        self.open_sockets = OpenSockets()
        self.follower: KeyFollower | None = None
        self._auth_string = auth_string
        self._basic = b"Basic " + base64.b64encode(auth_string.encode("ascii"))
        self._ready = SharedReady(app)
        self._pages = Pages(app)
        self._self_check = self_check
        self._routes = Routes()
        self._sockets = Sockets()

    def exchange(self, keys: KeyRing) -> None:
        """Use these keys from now on, also for the websockets that are open."""
        self.keys = keys
        self.counters.follow(keys.names)
        self.open_sockets.judge_again(keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, one websocket, or the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "websocket":
            await (self.websocket if self.opened else _shut_socket)(scope, receive, send)
        elif self.opened and self.follower and publishing.is_meant(self.follower, scope):
            await publishing.answer(self.follower, scope, receive, send)
        elif self.opened:
            await self.http(scope, receive, send)
        else:
            await answer_json(scope, send, 503, {"exception_message": "The gate is not open yet."})

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one HTTP request and answer it or pass it on."""
        if self.surface.is_mangled(scope):
            self.counters.refuse(NOBODY, "a path with a control character")
            await answer_json(scope, send, 400, {"exception_message": "The path holds a control character."})
            return
        if self.surface.is_open(scope):
            await self._anonymous(scope, receive, send)
            return
        agents = header_values(scope, b"user-agent")
        version = client_version(agents)
        if version and version.startswith(("0.", "1.", "2.")):
            self.counters.refuse(NOBODY, f"a Prefect {version} client")
            await answer_json(scope, send, 400, {"exception_message": OLD_CLIENT.format(version=version)})
            return
        verdict = self.keys.check(from_header(scope))
        if verdict.accepted is None:
            self.counters.refuse(verdict, "an HTTP request")
            await answer_json(scope, send, 401, {"exception_message": verdict.why_refused()})
            return
        self.counters.accept(verdict.accepted, agents)
        if scope["path"].startswith((f"{GATE_BASE}/", LINEAGE_BASE)):
            await self._own_page(scope, send, verdict)
            return
        match = self._routes.find(scope["method"], scope["path"])
        permission = await permit(match, verdict, scope, receive)
        if permission.refusal:
            note_change(self.audit, scope, verdict, match, permission.kind, 403)
            await self._forbid(scope, send, verdict, permission.refusal)
            return
        headers = [*_without(permission.scope, b"authorization"), (b"authorization", self._basic)]
        inner = {**permission.scope, "headers": headers}

        def note(status: int) -> None:
            note_change(self.audit, scope, verdict, match, permission.kind, status)

        await self._timed(inner, permission.receive, send, note)

    async def _forbid(self, scope: Scope, send: Send, verdict: Verdict, sentence: str) -> None:
        self.counters.forbid(verdict.accepted or "", sentence)
        # Prefect's clients show the one, its UI the other.
        await answer_json(scope, send, 403, {"exception_message": sentence, "detail": sentence})

    async def _own_page(self, scope: Scope, send: Send, verdict: Verdict) -> None:
        if scope["path"].startswith(LINEAGE_BASE):  # everybody with a key may read
            await self.lineage.answer(scope, send)
            return
        page = scope["path"] if scope["method"] == "GET" else ""
        refusal = permit_own(verdict, page)
        if refusal and page in OWN:
            await self._forbid(scope, send, verdict, refusal)
        elif page == KEYS_PATH:
            await answer_json(
                scope, send, 200, self.counters.report() | (self.follower.report() if self.follower else {})
            )
        elif page == STATUS_PATH:
            await answer_json(scope, send, 200, await self.observer.report())
        elif page == WHOAMI_PATH:
            await answer_json(scope, send, 200, verdict.who())
        elif page == AUDIT_PATH:
            status, content = await self.audit.answer(scope["query_string"])
            await answer_json(scope, send, status, content)
        else:
            await answer_json(scope, send, 404, {"exception_message": "Not Found"})

    async def _timed(self, scope: Scope, receive: Receive, send: Send, note: Callable[[int], None]) -> None:
        began, status = time.monotonic(), 0

        async def note_and_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                note(status)  # before the client knows, so that lines stand in the order of what it does
            await send(message)

        try:
            await self.app(scope, receive, note_and_send)
        finally:
            self.counters.timings.note(time.monotonic() - began, status)
            if not status:
                note(status)

    async def _anonymous(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == READY_PATH and scope["method"] == "GET":
            await self._ready.answer(scope, send)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ANONYMOUS_SECONDS):
                if not await lineage_pages.answer(scope, send):
                    await self._pages.answer(scope, receive, send)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one websocket by its first message and pass it on; Prefect closes those that were refused."""
        if not self.surface.is_socket(scope):
            self.counters.refuse(NOBODY, "a websocket on an unknown path")
            await refuse_socket(receive, send)
            return
        needs = self._sockets.needs(scope["path"])
        handshake = Handshake(
            scope, receive, keys=self.keys, auth_string=self._auth_string, room=self.room, needs=needs
        )
        life, opened, judged = asyncio.timeout(None), OpenSocket(only_tells=needs is Rights.VIEWER), False

        async def judge_and_receive() -> Message:
            nonlocal judged
            message = await handshake.receive()
            if handshake.verdict is not None and not judged:
                judged = True
                self._count_socket(scope, handshake)
                if handshake.verdict.accepted and not handshake.forbidden:
                    self.open_sockets.enter(opened, handshake.credential, handshake.verdict, self.keys)
                if handshake.verdict.accepted and handshake.verdict.expires:
                    life.reschedule(loop_time(handshake.verdict.expires))
            return message

        inner = {**scope, "headers": _without(scope, b"authorization")}
        if handshake.spoken_for:
            inner["subprotocols"] = [SUBPROTOCOL]
            inner["headers"].append((b"sec-websocket-protocol", SUBPROTOCOL.encode()))
            send = for_a_silent_client(send)
        try:
            async with life:
                await opened.run(self.app(inner, judge_and_receive, with_reason(send, handshake, needs)), send)
        except TimeoutError:
            if not life.expired():
                raise
            with suppress(RuntimeError):  # Prefect had closed it already
                await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": "The key has expired."})
        finally:
            self.open_sockets.leave(opened)

    def _count_socket(self, scope: Scope, handshake: Handshake) -> None:
        verdict = handshake.verdict or NOBODY
        if verdict.accepted is None:
            self.counters.refuse(verdict, "a websocket")
            return
        self.counters.accept(verdict.accepted, header_values(scope, b"user-agent"))
        if handshake.forbidden:
            self.counters.forbid(
                verdict.accepted, refuse(verdict, socket_name(scope), self._sockets.needs(scope["path"]))
            )
        else:
            lift_limit(scope)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # In a task of its own: Prefect's request limiter may hold a slot for the whole lifespan.
            await asyncio.create_task(self._check_itself())
            if self.follower:
                await self.follower.start()
        except (SelfCheckError, KeysNotReadError) as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self.opened = True
        async with self.follower.following() if self.follower else nullcontext():
            await self.app(scope, receive, send)

    async def _check_itself(self) -> None:
        await self._self_check(self)


async def _shut_socket(_scope: Scope, receive: Receive, send: Send) -> None:
    await refuse_socket(receive, send)
