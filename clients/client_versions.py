"""What a Prefect client of some version loses at our own server, as measured with stock clients (docs/gate.md)."""

from __future__ import annotations

import re
from enum import Enum, auto

_WHOLE, _WITH_HEADER, _PREFECT_3 = (3, 6, 14), (3, 4, 10), (3, 0, 0)
FIRST_WHOLE, FIRST_WITH_HEADER = (".".join(map(str, each)) for each in (_WHOLE, _WITH_HEADER))

_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


class Fit(Enum):
    """How far a client gets.

    WHOLE: everything works. WITH_HEADER: the same, once it sends its credential as a header with every websocket.
    LOSSY: runs complete, the rest is lost. REFUSED: it cannot talk to a server of Prefect 3 at all.
    """

    WHOLE = auto()
    WITH_HEADER = auto()
    LOSSY = auto()
    REFUSED = auto()


LOSS = "its task runs, events and assets are lost, and serve() and workers end at start"

_VERDICTS = {
    Fit.WHOLE: "works in full",
    Fit.WITH_HEADER: 'works in full with orchestrator.clientVersion: "{version}", without it ' + LOSS,
    Fit.LOSSY: f"flow runs complete, but {LOSS}: use {FIRST_WHOLE} or later",
    Fit.REFUSED: f"cannot talk to a Prefect 3 server: use {FIRST_WHOLE} or later",
}


def fit_of(version: str) -> Fit:
    """Judge a version; one that nobody can read is given the benefit of the doubt."""
    number = _number(version)
    if number is None or number >= _WHOLE:
        return Fit.WHOLE
    if number >= _WITH_HEADER:
        return Fit.WITH_HEADER
    return Fit.LOSSY if number >= _PREFECT_3 else Fit.REFUSED


def needs_header(version: str | None) -> bool:
    """Tell whether a client of this version needs the header, and can send it."""
    return version is not None and fit_of(version) is Fit.WITH_HEADER


def verdict(version: str) -> str:
    """Say it in one line."""
    return _VERDICTS[fit_of(version)].format(version=version)


def _number(version: str) -> tuple[int, int, int] | None:
    found = _NUMBERS.match(version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None
