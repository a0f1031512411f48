"""A verb's surroundings on a fake clock, with what it said kept."""

from __future__ import annotations

import io
from collections.abc import Mapping

from clients.endpoints import World
from ops.runtime import Progress, Runtime
from tests.support.scripted_http import FakeClock


class Surroundings:
    """A Runtime on `clock` and the lines it printed."""

    def __init__(self, clock: FakeClock, environ: Mapping[str, str] | None = None) -> None:
        self.clock = clock
        self._stream = io.StringIO()
        self.rt = Runtime(
            world=World.SANDBOX,
            progress=Progress(self._stream, clock.time),
            environ=dict(environ or {}),
            poll=5.0,
            clock=clock.time,
            sleep=clock.sleep,
        )

    @property
    def said(self) -> str:
        """Everything that was printed for the person waiting."""
        return self._stream.getvalue()
