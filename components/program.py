"""How the program talks with the engine, before it registers anything."""

from __future__ import annotations

import os
import signal

from pulumi import log


def begin() -> None:
    """Leave out what is only noise to people, or time to wait."""
    # The engine interrupts the program once a resource failed; what it says of that resource is enough.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    # The SDK says five things of each resource that only `pulumi up --debug` shows, and waits each time (ADR 15).
    log.debug = lambda *_, **__: None
