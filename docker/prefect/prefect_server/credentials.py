"""Where a client's credential is found: in one Authorization header, or in a websocket's first message.

Everything here answers None for what it cannot read. It never raises: an anonymous client chooses this input.
"""

from __future__ import annotations

import base64
import binascii
import json

from prefect_server.asgi import Message, Scope, header_values
from prefect_server.keys import LONGEST_CREDENTIAL

# The stock client's first message is about 120 bytes.
LONGEST_FIRST_MESSAGE = 4096


def from_header(scope: Scope) -> str | None:
    """Read `Bearer <credential>` or `Basic base64(<credential>)`.

    None for no Authorization header and for more than one, where it would be unclear which one counts.
    """
    values = header_values(scope, b"authorization")
    if len(values) != 1 or len(values[0]) > 2 * LONGEST_CREDENTIAL:
        return None
    scheme, _, value = values[0].decode("latin-1").strip().partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer":
            return value or None
        case "basic":
            return _decode_basic(value)
    return None


def _decode_basic(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode() or None
    except (binascii.Error, ValueError):
        return None


def from_first_message(message: Message) -> tuple[bool, str | None]:
    """Read a websocket's first message: whether it is an auth message at all, and the token in it."""
    text = message.get("text")
    if text is None:
        raw = message.get("bytes") or b""
        text = raw[: LONGEST_FIRST_MESSAGE + 1].decode("utf-8", "replace")
    if len(text) > LONGEST_FIRST_MESSAGE:
        return False, None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return False, None
    if not isinstance(content, dict) or content.get("type") != "auth":
        return False, None
    token = content.get("token")
    return token is None or isinstance(token, str), token if isinstance(token, str) else None
