"""One screen for people: aligned lines, colours in a terminal and nowhere else, drawn again in place with --watch."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, TextIO

from ops.status_report import Line, Report, worst

_COLOURS = {"ok": "32", "note": "33", "problem": "1;31", "unknown": "35"}
_HOME_AND_CLEAR = "\x1b[H\x1b[2J"
_STATE_WIDTH = max(map(len, _COLOURS))
_NARROWEST = 60
_VERDICTS = {"ok": "all is well", "note": "all is well", "problem": "not well", "unknown": "not all could be asked"}


@dataclass(frozen=True, kw_only=True)
class Screen:
    """Where it is shown. `width` is 0 where lines are left as long as they are: in a file, a pipe or CI."""

    stream: TextIO
    coloured: bool
    width: int

    @classmethod
    def on(cls, stream: TextIO, environ: Mapping[str, str]) -> Self:
        """Look at the stream and at NO_COLOR, TERM and CI."""
        terminal = stream.isatty() and not environ.get("CI") and environ.get("TERM") != "dumb"
        width = max(shutil.get_terminal_size().columns, _NARROWEST) if terminal else 0
        return cls(stream=stream, coloured=terminal and not environ.get("NO_COLOR"), width=width)

    def write(self, text: str) -> None:
        """Write it now."""
        self.stream.write(text)
        self.stream.flush()

    def show(self, report: Report, *, again: bool) -> None:
        """Show a report; in place of the one before where a terminal shows it `again` and again."""
        in_place = _HOME_AND_CLEAR if again and self.width else ""
        after = "" if in_place or not again else "\n"
        self.write(f"{in_place}{self.text_of(report)}{after}")

    def text_of(self, report: Report) -> str:
        """Return the whole screen."""
        at = datetime.fromtimestamp(report.asked_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        state = worst(line.state for line in report.lines)
        head = f"stack {report.stack} ({report.world}), {at}: {self._painted(_VERDICTS[state], state)}"
        column = max((len(line.part) for line in report.lines), default=0)
        return "\n".join([head, "", *(self._line(line, column) for line in report.lines), ""])

    def _line(self, line: Line, column: int) -> str:
        start = f"  {line.part:<{column}}  "
        state = f"{line.state:<{_STATE_WIDTH}}"
        indent = len(start) + len(state) + 2
        text = line.text
        if self.width:
            lines = textwrap.wrap(text, self.width - indent, break_on_hyphens=False, break_long_words=False)
            text = f"\n{' ' * indent}".join(lines)
        return f"{start}{self._painted(state, line.state)}  {text}"

    def _painted(self, text: str, state: str) -> str:
        return f"\x1b[{_COLOURS[state]}m{text}\x1b[0m" if self.coloured else text
