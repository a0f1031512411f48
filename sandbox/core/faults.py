"""Scripted trouble: answers, delays and dropped connections for the calls that match."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.core.clock import Clock

_LOOK_EVERY_SECONDS = 0.05


class BadFaultError(ValueError):
    """A fault was described wrongly; the text says how."""


@dataclass(kw_only=True)
class Fault:
    """Trouble for matching calls.

    Attributes:
        method: HTTP method, or `*`.
        path: regular expression searched in the path (without the query).
        times: how many matching calls it hits; None for all until it is removed.
        skip: how many matching calls pass unharmed first.
        delay: seconds of the sandbox clock to wait before anything else.
        status: answer with this status instead of calling the API; None lets the call through (after the delay).
        body: JSON value, or a string sent as it is, of that answer.
        headers: headers of that answer.
        reset: cut the connection before the call has had an effect.
        drop_answer: let the call have its effect, then cut the connection instead of answering.
        hold: let the call have its effect, then keep the caller waiting for so many seconds of the sandbox clock, or
            until the fault is removed.
        switch: name of a special behaviour that the service itself looks for (see sandbox/FIDELITY.md).
        hits: how many calls it has hit so far.
        caller: the port that the last of them came from.
    """

    method: str = "*"
    path: str = ""
    times: int | None = 1
    skip: int = 0
    delay: float = 0.0
    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    drop_answer: bool = False
    hold: float = 0.0
    switch: str | None = None
    hits: int = 0
    caller: int | None = None

    def __post_init__(self) -> None:
        try:
            self._pattern = re.compile(self.path)
        except re.error as problem:
            raise BadFaultError(f'the path "{self.path}" is no regular expression: {problem}') from problem
        self._to_skip = self.skip

    @property
    def spent(self) -> bool:
        """Tell whether it has hit as often as it should."""
        return self.times is not None and self.hits >= self.times

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a call is meant, whatever is left of `times` and `skip`."""
        return self.method in {"*", method} and self._pattern.search(path) is not None

    def take(self) -> bool:
        """Use up one matching call; False while calls are still to be skipped or when it is spent."""
        if self.spent:
            return False
        if self._to_skip > 0:
            self._to_skip -= 1
            return False
        self.hits += 1
        return True

    def describe(self) -> dict[str, Any]:
        """Return it as JSON, the way the control call takes it."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


class Faults:
    """The faults scripted for one service; safe to use from a test's thread."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, method: str = "*", path: str = "", **settings: Any) -> Fault:
        """Script a fault (see `Fault` for the settings) and return it, so that its `hits` can be read.

        Raises:
            BadFaultError: an unknown setting, or a path that is no regular expression.
        """
        try:
            fault = Fault(method=method.upper(), path=path, **settings)
        except TypeError as problem:
            raise BadFaultError(str(problem)) from problem
        with self._lock:
            self._faults.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """Return the first fault that hits this call and count it; faults with a `switch` are left to the service."""
        with self._lock:
            for fault in self._faults:
                if fault.switch is None and fault.matches(method, path) and fault.take():
                    return fault
        return None

    def switched(self, switch: str, subject: str = "") -> Fault | None:
        """Return the first live fault with this `switch` whose path expression is found in `subject`, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.switch == switch and fault.matches("*", subject) and fault.take():
                    return fault
        return None

    def live(self, fault: Fault) -> bool:
        """Tell whether a fault was not removed yet."""
        with self._lock:
            return any(each is fault for each in self._faults)

    async def hold(self, fault: Fault, clock: Clock) -> None:
        """Wait as long as a fault holds its caller, or until it was removed."""
        began = clock.time()
        while clock.time() < began + fault.hold and self.live(fault):  # noqa: ASYNC110 - removed from other threads
            await asyncio.sleep(_LOOK_EVERY_SECONDS)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def describe(self) -> list[dict[str, Any]]:
        """Return all faults, spent ones included, as JSON."""
        with self._lock:
            return [fault.describe() for fault in self._faults]


def cut(transport: asyncio.BaseTransport | None) -> None:
    """Reset a connection: RST, not FIN, which is what clients call a reset."""
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
