"""uvicorn's websocket protocol, with a small message limit until the client has shown a credential.

Otherwise every stranger could leave megabytes in the server's memory: uvicorn keeps the parts of an unfinished message
until the rest comes.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import (  # type: ignore[import-not-found,unused-ignore]
    WebSocketsSansIOProtocol,
)

from prefect_server.credentials import LONGEST_FIRST_MESSAGE
from prefect_server.sockets import LIFT_LIMIT


class LimitedSocketProtocol(WebSocketsSansIOProtocol):  # type: ignore[misc,unused-ignore]
    """Takes messages of a credential's size until the gate calls the function that it finds in the scope."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._accepted_size = self.conn.max_message_size
        self.conn.max_message_size = LONGEST_FIRST_MESSAGE

    def handle_connect(self, event: object) -> None:
        """Hand the application the function that lifts the limit; its task has not begun yet."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][LIFT_LIMIT] = self._lift_limit

    def _lift_limit(self) -> None:
        self.conn.max_message_size = self._accepted_size
