"""The emulated Prefect Cloud: one workspace that takes nothing but its API key.

Everything below /api/accounts/<account>/workspaces/<workspace>/ is passed on to a real Prefect server's /api/. Basic
authentication, which a self-hosted server takes, is refused: a program that sends the wrong kind must notice here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.cloud.backend import Backend, BackendError
from sandbox.core.core import Core
from sandbox.core.service import Service, bearer_token, same_token

_FIRST_MESSAGE_SECONDS = 10.0
_POLICY_VIOLATION = 1008
# What belongs to one connection and must not be passed on to the next.
_PER_HOP = {"host", "connection", "authorization", "content-length", "transfer-encoding", "content-encoding", "date"}


@dataclass(frozen=True)
class Workspace:
    """Where the workspace is and the key it takes."""

    account: str = field(default_factory=lambda: str(uuid.uuid4()))
    workspace: str = field(default_factory=lambda: str(uuid.uuid4()))
    key: str = field(default_factory=lambda: f"pnu_{secrets.token_hex(18)}", repr=False)

    @property
    def path(self) -> str:
        """The path of its API."""
        return f"/api/accounts/{self.account}/workspaces/{self.workspace}"


class Cloud(Service):
    """Prefect Cloud with one workspace.

    Args:
        core: clock, journal, store and faults of the sandbox.
        home: where its Prefect server keeps what it knows.
    """

    name = "cloud"

    def __init__(self, core: Core, home: Path) -> None:
        super().__init__(core)
        saved = core.store.section(self.name, lambda: asdict(self.workspace))
        self.workspace = Workspace(**saved) if saved else Workspace()
        self.backend = Backend(home)
        self._session: aiohttp.ClientSession | None = None

    @property
    def api_url(self) -> str:
        """What PREFECT_API_URL is to be set to."""
        return self.url + self.workspace.path

    async def stop(self) -> None:
        """End the Prefect server and close this one."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        await super().stop()
        await self.backend.stop()

    async def reset(self) -> None:
        """Forget every run; the workspace and its key stay."""
        await self.backend.stop()
        await asyncio.to_thread(self.backend.forget)

    async def authenticate(self, request: web.Request) -> web.StreamResponse | None:
        """Refuse calls without the key; a websocket may still send it as its first message."""
        if same_token(bearer_token(request), self.workspace.key) or _is_websocket(request):
            return None
        return self.error(401, "Invalid authentication credentials")

    def error(self, status: int, text: str) -> web.Response:
        """Return an error in Prefect's form."""
        return web.json_response({"detail": text}, status=status)

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes: those of the account that a login needs, and the workspace."""
        return [
            web.get("/api/me/workspaces", self._workspaces),
            web.route("*", "/api/accounts/{account}/workspaces/{workspace}/{tail:.*}", self._pass_on),
        ]

    async def _workspaces(self, _request: web.Request) -> web.Response:
        here = {"account_id": self.workspace.account, "workspace_id": self.workspace.workspace}
        return web.json_response([here | {"account_handle": "captionacc", "workspace_handle": "default"}])

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        where = request.match_info
        if (where["account"], where["workspace"]) != (self.workspace.account, self.workspace.workspace):
            return self.error(404, "Workspace not found")
        # Cloud has no administration of its own server.
        if where["tail"].startswith("admin/"):
            return self.error(404, "Not Found")
        try:
            target = f"{await self.backend.url()}/api/{where['tail']}"
        except BackendError as problem:
            return self.error(503, str(problem))
        if self._session is None:
            self._session = aiohttp.ClientSession(auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar())
        if _is_websocket(request):
            return await self._pass_on_socket(request, target, self._session)
        return await self._pass_on_call(request, target, self._session)

    async def _pass_on_call(self, request: web.Request, target: str, session: aiohttp.ClientSession) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _PER_HOP}
        try:
            async with session.request(
                request.method, target, params=request.query, headers=headers, data=await request.read()
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _PER_HOP}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)
        except aiohttp.ClientError as problem:
            return self.error(502, f"the workspace's server did not answer: {type(problem).__name__}")

    async def _pass_on_socket(
        self, request: web.Request, target: str, session: aiohttp.ClientSession
    ) -> web.StreamResponse:
        prefect = "prefect" in request.headers.get("Sec-WebSocket-Protocol", "")
        near = web.WebSocketResponse(protocols=("prefect",) if prefect else ())
        await near.prepare(request)
        first = None
        if not same_token(bearer_token(request), self.workspace.key):
            first = await _first_message(near)
            if not same_token(_token_in(first), self.workspace.key):
                await near.close(code=_POLICY_VIOLATION, message=b"Invalid token")
                return near
        async with session.ws_connect(target, params=request.query, protocols=("prefect",) if prefect else ()) as far:
            if first is not None:
                await far.send_str(first)
            await _join(near, far)
        return near


def _is_websocket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def _first_message(socket: web.WebSocketResponse) -> str:
    with contextlib.suppress(TimeoutError):
        message = await socket.receive(timeout=_FIRST_MESSAGE_SECONDS)
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
    return ""


def _token_in(message: str) -> str | None:
    try:
        token: Any = json.loads(message)["token"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return token if isinstance(token, str) and token.isascii() else None


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _copy(source: _Socket, target: _Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)


async def _join(near: web.WebSocketResponse, far: aiohttp.ClientWebSocketResponse) -> None:
    """Copy messages both ways until either end closes, and close the other."""
    copies = {asyncio.create_task(_copy(near, far)), asyncio.create_task(_copy(far, near))}
    await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    for copy in copies:
        copy.cancel()
    await asyncio.gather(*copies, return_exceptions=True)
    await near.close(code=far.close_code or 1000)
