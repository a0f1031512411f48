"""Counts per key name, and a log of refusals that a flood cannot turn into a flood of lines."""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prefect_server.keys import Verdict, rfc3339
from prefect_server.observing import Timings

logger = logging.getLogger("prefect_fly.gate")

PREFECT_CLIENT = re.compile(rb"prefect/(\d+\.\d+[\w.+-]{0,40})")

# At most this many refusals are logged one by one in each window; the rest is one line with their number.
LINES_PER_WINDOW = 5
WINDOW_SECONDS = 10.0


@dataclass
class KeyUse:
    """What one key name has been used for since this process started; `expired` of the refused were too old.

    `forbidden` were accepted and asked for more than the key's rights allow.
    """

    accepted: int = 0
    refused: int = 0
    expired: int = 0
    forbidden: int = 0
    last_accepted: float | None = None
    client_version: str | None = None
    client_seen: float | None = None


class Counters:
    """Uses per name. Refusals without a known name are counted together, so that nobody can add names."""

    def __init__(
        self,
        names: Iterable[str],
        *,
        clock: Callable[[], float] = time.time,
        note: Callable[[str], None] | None = None,
    ) -> None:
        self._clock = clock
        self._note = note or RefusalLog().note
        self.started_at = clock()
        self.by_name = {name: KeyUse() for name in sorted(names)}
        self._followed: frozenset[str] | None = None
        self.refused_unknown = 0
        self.timings = Timings()

    def follow(self, names: Iterable[str]) -> None:
        """Count for these names from now on; what was counted for those that stay is kept."""
        self._followed = frozenset(names)
        self.by_name = {name: self.by_name.get(name, KeyUse()) for name in sorted(self._followed)}

    def _use(self, name: str) -> KeyUse:
        # A key that was accepted a moment before it was removed must not come back into the report.
        gone = self._followed is not None and name not in self._followed
        return KeyUse() if gone else self.by_name.setdefault(name, KeyUse())

    def accept(self, name: str, user_agents: list[bytes]) -> None:
        """Count one accepted request or websocket."""
        use = self._use(name)
        use.accepted += 1
        use.last_accepted = self._clock()
        version = client_version(user_agents)
        if version:
            use.client_seen = use.last_accepted
        if version and version != use.client_version:
            logger.info('key "%s" is used by a Prefect %s client', name, version)
            use.client_version = version

    def refuse(self, verdict: Verdict, what: str) -> None:
        """Count one refused request or websocket; `what` says what it wanted."""
        use = self.by_name.get(verdict.claimed) if verdict.claimed else None
        if use is None:
            self.refused_unknown += 1
            self._note(f"refused {what}: no valid key")
            return
        use.refused += 1
        if verdict.expires:
            use.expired += 1
            self._note(f'refused {what}: the key "{verdict.claimed}" expired at {rfc3339(verdict.expires)}')
        else:
            self._note(f'refused {what}: wrong or no key for "{verdict.claimed}"')

    def forbid(self, name: str, sentence: str) -> None:
        """Count one request or websocket of an accepted key whose rights are too few; the sentence says so."""
        self._use(name).forbidden += 1
        self._note(f"forbidden: {sentence}")

    def report(self) -> dict[str, object]:
        """The body of GET /gate/keys; times are unix seconds."""
        return {"keys": {name: vars(use).copy() for name, use in self.by_name.items()}, "started_at": self.started_at}


def client_version(user_agents: list[bytes]) -> str | None:
    """The version of the stock Prefect client from its User-Agent; None for everything else."""
    found = PREFECT_CLIENT.match(user_agents[0]) if user_agents else None
    return found[1].decode("ascii") if found else None


class _Window:
    """Lets the first few of each time window through and counts the others."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._through: deque[float] = deque(maxlen=LINES_PER_WINDOW)
        self._kept_back = 0

    def admit(self) -> str | None:
        """Return what to add to the line that may be written, None when it may not."""
        now = self._clock()
        if len(self._through) == LINES_PER_WINDOW and now - self._through[0] < WINDOW_SECONDS:
            self._kept_back += 1
            return None
        more = f" (and {self._kept_back} more since the line before)" if self._kept_back else ""
        self._kept_back = 0
        self._through.append(now)
        return more


class RefusalLog:
    """Writes the first lines of each time window, then only how many more there were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._window = _Window(clock)

    def note(self, line: str) -> None:
        """Log the line, or count it."""
        more = self._window.admit()
        if more is not None:
            logger.warning("%s%s", line, more)


class FloodFilter(logging.Filter):
    """Lets a logger's first warnings and errors of each time window through, then only says how many more there were.

    What anybody can cause by sending nonsense must not fill the log; a traceback counts as one line.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._window = _Window(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record may be written."""
        if record.levelno < logging.WARNING:
            return True
        more = self._window.admit()
        if more:
            record.msg, record.args = f"{record.getMessage()}{more}", ()
        return more is not None
