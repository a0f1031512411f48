"""The two loops of this project: look until a time is over, and create something whose answer may get lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from clients.errors import ApiError
from clients.timing import Timing

T = TypeVar("T")

TRIES = 3


def until(seconds: float, *, timing: Timing, every: float) -> Iterator[float]:
    """Yield the seconds left, once at least, sleeping `every` seconds in between, until `seconds` are over.

    The last look is at the end itself, so that what came in the last interval still counts. With `every=0` nothing
    sleeps: for looks that themselves wait.
    """
    deadline = timing.clock() + seconds
    while True:
        left = deadline - timing.clock()
        yield max(0.0, left)
        if left <= 0:
            return
        if every:
            timing.sleep(min(every, left))


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
