"""The two loops of this project: look until a time is over, and create something whose answer may get lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from clients.errors import ApiError
from clients.timing import Timing

T = TypeVar("T")

TRIES = 3

_SHARE = 0.1


def until(seconds: float, *, timing: Timing, every: float, first: float | None = None) -> Iterator[float]:
    """Yield the seconds left, once at least, sleeping `every` seconds in between, until `seconds` are over.

    With `first` the pauses begin with that many seconds and grow to a tenth of the time waited, `every` at most: what
    is quick is seen at once, and what takes long is not asked for all the time. The last look is at the end itself, so
    that what came in the last pause still counts. With `every=0` nothing sleeps: for looks that themselves wait.
    """
    began = timing.clock()
    while True:
        waited = timing.clock() - began
        left = seconds - waited
        yield max(0.0, left)
        if left <= 0:
            return
        if every:
            pause = every if first is None else min(every, max(first, waited * _SHARE))
            timing.sleep(min(pause, left))


def create_once(
    create: Callable[[], T],
    look: Callable[[], T | None],
    *,
    unclear: tuple[type[ApiError], ...],
    final: tuple[type[ApiError], ...] = (),
    retrying: Callable[[ApiError], None],
    timing: Timing,
) -> T:
    """Create something that must not exist twice, and return it.

    When an answer leaves open whether it was created, it is looked for before it is tried again.

    Args:
        create: the call.
        look: returns what the call makes, None when it is not there.
        unclear: errors after which it may be there.
        final: those of them after which it is looked for, but not tried again.
        retrying: told of the error before each new attempt.
        timing: the clock.

    Raises:
        ApiError: it was not created.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return create()
        except unclear as error:
            timing.sleep(1.0)
            found = look()
            if found is not None:
                return found
            if attempt == TRIES or isinstance(error, final):
                raise
            retrying(error)
    raise AssertionError
