"""The first message of a websocket, checked and translated before Prefect sees it.

Prefect's clients authenticate websockets by their first message, `{"type": "auth", "token": ...}`. Prefect waits for
it without limit and compares the token with its own auth string. Here a good token becomes that string and everything
else becomes an empty one, so that it is Prefect itself that closes the socket with 1008. Later messages are not
touched.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prefect_server.asgi import Message, Receive, Scope, Send, header_values
from prefect_server.credentials import from_first_message, from_header
from prefect_server.keys import NOBODY, KeyRing, Rights, Verdict

LIFT_LIMIT = "prefect_fly.lift_message_limit"
"""Key of the scope's extension with which the gate lets a client send messages of any usual size."""

SUBPROTOCOL = "prefect"

FIRST_MESSAGE_SECONDS = 10.0
# Sockets that have not yet sent their first message. Beyond it the client address with most of them loses its oldest:
# a real client sends it at once, so it is never the oldest for long.
MOST_PENDING = 64


@dataclass(eq=False)
class Pending:
    """A websocket that was opened and has not yet said who it is."""

    client: str
    dropped: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class WaitingRoom:
    """All pending websockets, oldest first."""

    def __init__(self, most: int = MOST_PENDING) -> None:
        self._most = most
        self._pending: list[Pending] = []

    def __len__(self) -> int:
        return len(self._pending)

    def enter(self, client: str) -> Pending:
        """Admit one more, at the cost of the oldest of the client that has most when the room is full."""
        if len(self._pending) >= self._most:
            (crowd, _) = Counter(each.client for each in self._pending).most_common(1)[0]
            victim = next(each for each in self._pending if each.client == crowd)
            self.leave(victim)
            victim.dropped.set_result(None)
        pending = Pending(client)
        self._pending.append(pending)
        return pending

    def leave(self, pending: Pending) -> None:
        """Forget a socket that has said who it is, or was dropped."""
        if pending in self._pending:
            self._pending.remove(pending)


def client_address(scope: Scope) -> str:
    """The address Fly's proxy saw, or else the peer's."""
    seen = header_values(scope, b"fly-client-ip")
    if seen:
        return seen[0][:64].decode("latin-1")
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


class Handshake:
    """Stands between Prefect and the client's messages until the first one was judged.

    `verdict` is None until then and `credential` is what it was about; `receive` is what Prefect's side is given
    instead of the server's own. A key with less than the rights that the websocket `needs` is accepted and `forbidden`.
    """

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        *,
        keys: KeyRing,
        auth_string: str,
        room: WaitingRoom,
        needs: Rights = Rights.VIEWER,
    ) -> None:
        self._receive = receive
        self._keys = keys
        self._auth_string = auth_string
        self._room = room
        self._needs = needs
        self._client = client_address(scope)
        self._header = from_header(scope)
        self._upgrade = keys.check(self._header)
        self._has_subprotocol = SUBPROTOCOL in scope.get("subprotocols", ())
        self._connected = False
        self.verdict: Verdict | None = None
        self.credential: str | None = None

    async def receive(self) -> Message:
        """Pass on the client's messages, the first one translated."""
        if self.verdict is not None:
            return await self._receive()
        if not self._connected:
            self._connected = True
            return await self._receive()  # websocket.connect, sent by the server itself
        if self.spoken_for:
            self.verdict, self.credential = self._upgrade, self._header
            return self._auth_message()
        message = await self._first_message()
        if message is not None and message["type"] == "websocket.disconnect":
            return message
        self.verdict = self._judge(message)
        return self._auth_message()

    @property
    def spoken_for(self) -> bool:
        """Tell whether the gate says the first message for the client.

        Clients of before 3.6.14 say nothing on the websocket of events, not even the subprotocol. With a valid
        credential in the header of the upgrade, which they can be told to send, that is enough.
        """
        return not self._has_subprotocol and self._upgrade.accepted is not None

    @property
    def forbidden(self) -> bool:
        """Tell whether the key is a good one whose rights are too few."""
        rights = self.verdict.rights if self.verdict else None
        return rights is not None and rights < self._needs

    def _auth_message(self) -> Message:
        let_in = self.verdict is not None and self.verdict.accepted is not None and not self.forbidden
        token = self._auth_string if let_in else ""
        return {"type": "websocket.receive", "text": json.dumps({"type": "auth", "token": token})}

    async def _first_message(self) -> Message | None:
        """Wait for it; None when it does not come in time or the waiting room needed the place."""
        pending = self._room.enter(self._client)
        incoming = asyncio.ensure_future(self._receive())
        try:
            either: set[asyncio.Future[Any]] = {incoming, pending.dropped}
            await asyncio.wait(either, timeout=FIRST_MESSAGE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            return incoming.result() if incoming.done() else None
        finally:
            incoming.cancel()
            pending.dropped.cancel()
            self._room.leave(pending)

    def _judge(self, message: Message | None) -> Verdict:
        if message is None:
            return NOBODY
        is_auth, token = from_first_message(message)
        if not is_auth:
            return NOBODY
        # The stock client with only a key sends null here; a valid header on the upgrade makes up for that.
        self.credential = self._header if token is None else token
        return self._upgrade if token is None else self._keys.check(token)


def with_reason(send: Send, handshake: Handshake, needs: Rights) -> Send:
    """Return a `send` that tells the owner of a good key why Prefect closes the websocket."""

    async def pass_on(message: Message) -> None:
        verdict = handshake.verdict
        if message["type"] == "websocket.close" and handshake.forbidden and verdict:
            # A close frame takes 123 bytes.
            message = {
                **message,
                "reason": f'"{verdict.accepted}" may not use this websocket: it needs {needs} rights'[:120],
            }
        await send(message)

    return pass_on


def for_a_silent_client(send: Send) -> Send:
    """Return a `send` that keeps from the client what answers the words that the gate said for it."""
    answered = False

    async def pass_on(message: Message) -> None:
        nonlocal answered
        if message["type"] == "websocket.accept":
            message = {key: value for key, value in message.items() if key != "subprotocol"}
        elif message["type"] == "websocket.send" and not answered:
            answered = True
            return
        await send(message)

    return pass_on


def socket_name(scope: Scope) -> str:
    """Name a websocket in a sentence."""
    return f"the websocket {scope['path']}"


def loop_time(moment: datetime) -> float:
    """The event loop's time at that moment."""
    return asyncio.get_running_loop().time() + moment.timestamp() - time.time()


def lift_limit(scope: Scope) -> None:
    """Let the client send messages of any usual size, where the server in front has a limit."""
    lift = scope.get("extensions", {}).get(LIFT_LIMIT)
    if lift:
        lift()
