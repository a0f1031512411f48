"""GET and PUT /gate/keys for whoever holds the signing secret: which ring a server uses, and giving it a newer one."""

from __future__ import annotations

import asyncio
import json

from prefect_server.asgi import Receive, Scope, Send, answer_json
from prefect_server.credentials import from_header
from prefect_server.key_follower import KeyFollower, PublishError
from prefect_server.signed_ring import SignedRing
from prefect_server.surface import KEYS_PATH

# A thousand keys with everything said of each.
LONGEST_BODY = 256 * 1024
BODY_SECONDS = 10.0


def is_meant(follower: KeyFollower, scope: Scope) -> bool:
    """Tell whether a request comes from a publisher; everything else is for the gate to judge."""
    return scope["path"] == KEYS_PATH and follower.is_publisher(from_header(scope))


async def answer(follower: KeyFollower, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a publisher's request."""
    if scope["method"] not in {"GET", "PUT"}:
        await answer_json(scope, send, 405, {"exception_message": "Only GET and PUT."})
        return
    try:
        if scope["method"] == "PUT":
            await follower.publish(_ring_of(await _body(receive)))
    except PublishError as error:
        await answer_json(scope, send, error.status, {"exception_message": str(error), **follower.report()})
        return
    await answer_json(scope, send, 200, follower.report())


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > LONGEST_BODY:
                    raise PublishError(413, f"The ring is larger than {LONGEST_BODY} bytes.")
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise PublishError(408, f"The ring did not arrive in {BODY_SECONDS:.0f} s.") from error


def _ring_of(body: bytes) -> SignedRing:
    try:
        content = json.loads(body)
        generation, ring, mac = content["generation"], content["ring"], content["mac"]
        ring.encode(), mac.encode()
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise PublishError(400, "The body must be JSON with generation, ring and mac.") from error
    if type(generation) is not int or not 0 <= generation < 2**53:
        raise PublishError(400, "The generation must be a whole number.")
    return SignedRing(generation=generation, ring=ring, mac=mac)
