"""What a program prints, as lines of its machine's log."""

from __future__ import annotations

import codecs

from sandbox.machines.driver import Log

_LINE_LIMIT = 16_384  # characters of one log line


class Lines:
    """Takes what was printed, in pieces that end anywhere, and logs each line when its end has come."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def add(self, printed: bytes) -> None:
        """Take the next piece; what a line has beyond its limit is left out."""
        *lines, self._rest = (self._rest + self._decoder.decode(printed)).split("\n")
        for line in lines:
            self._log(line.rstrip("\r")[:_LINE_LIMIT])
        if len(self._rest) > _LINE_LIMIT:
            self._log(self._rest[:_LINE_LIMIT])
            self._rest = ""

    def end(self) -> None:
        """Log what has no line end: nothing comes after it."""
        if rest := self._rest + self._decoder.decode(b"", final=True):
            self._log(rest)
