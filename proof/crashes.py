"""What may happen to the engine and its processes during a call: the call has its effect, nobody hears of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from proof import processes
from proof.stage import Stage
from sandbox.core.faults import Fault
from tests.support.beside import beside

HELD: Mapping[str, Any] = {"hold": 3600.0, "drop_answer": True}
"""The call that a crash happens at; it is let go with the crash."""

_LOOK_EVERY_SECONDS = 0.1
_BETWEEN_INTERRUPTS = 0.5


@dataclass(frozen=True, kw_only=True)
class Crash:
    """One way to end.

    Attributes:
        sent: the signal.
        caller: it goes to the process that makes the call (a dynamic provider, a Command's verb, GitHub's provider),
            not to the engine.
        again: it is sent until the engine is gone.
        locks: the stack stays locked, so that `pulumi cancel` comes first.
    """

    sent: signal.Signals
    caller: bool = False
    again: bool = False
    locks: bool = False


CRASHES: Mapping[str, Crash] = {
    "kill -9 of the engine": Crash(sent=signal.SIGKILL, locks=True),
    "kill -9 of the caller": Crash(sent=signal.SIGKILL, caller=True),
    "^C": Crash(sent=signal.SIGINT),
    "^C twice": Crash(sent=signal.SIGINT, again=True, locks=True),
}
"""By name."""


@contextmanager
def crashing(made: Stage, fault: Fault, crash: Crash | None) -> Iterator[None]:
    """Crash when the fault hits while the block runs."""
    with beside(lambda over: _crash(made, fault, crash, over)):
        yield


def _crash(made: Stage, fault: Fault, crash: Crash | None, over: threading.Event) -> None:
    while crash is None or not fault.hits:
        if over.wait(_LOOK_EVERY_SECONDS):
            return
    engine = processes.engine_in(made.engine.folder)
    started = processes.below(engine) if engine else set()
    victim = processes.holder(fault.caller or 0, started) if crash.caller else engine
    if victim is None:
        made.said.append("nobody has the call's connection")
    else:
        _send(victim, crash)
    fault.hold = 0.0


def _send(victim: int, crash: Crash) -> None:
    with suppress(ProcessLookupError):
        os.kill(victim, crash.sent)
        while crash.again and processes.running(victim):
            time.sleep(_BETWEEN_INTERRUPTS)
            os.kill(victim, crash.sent)
