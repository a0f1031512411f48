"""How `status` shows what it found."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping

import pytest

from ops.status_report import Line, Report, age, megabytes
from ops.status_screen import Screen

REPORT = Report(
    stack="prod",
    world="real",
    asked_at=1_700_000_000.0,
    lines=(
        Line(part="server", state="ok", text="https://acme.fly.dev ready in 12 ms"),
        Line(part="key github", state="problem", text=" ".join(["word"] * 40)),
    ),
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def shown(stream: io.StringIO, environ: Mapping[str, str], *, again: bool = False) -> str:
    """Show the report there."""
    Screen.on(stream, environ).show(REPORT, again=again)
    return stream.getvalue()


def test_lines_are_aligned() -> None:
    """Part, state and text stand in columns, whatever the longest name."""
    assert shown(io.StringIO(), {}).splitlines()[:3] == [
        "stack prod (real), 2023-11-14 22:13:20 UTC: not well",
        "",
        "  server      ok       https://acme.fly.dev ready in 12 ms",
    ]


@pytest.mark.parametrize(
    ("stream", "environ", "coloured", "wrapped"),
    [
        (Terminal, {}, True, True),
        (Terminal, {"NO_COLOR": "1"}, False, True),
        (Terminal, {"TERM": "dumb"}, False, False),
        (Terminal, {"CI": "true"}, False, False),
        (io.StringIO, {}, False, False),
    ],
)
def test_colours_are_for_terminals_only(
    stream: type[io.StringIO],
    environ: dict[str, str],
    coloured: bool,
    wrapped: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NO_COLOR, CI and a dumb terminal get none; only a terminal's width breaks lines."""
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    text = shown(stream(), environ)
    assert ("\x1b[1;31mproblem" in text) is coloured
    assert ("\x1b" in text) is coloured
    plain = text.replace("\x1b[1;31m", "").replace("\x1b[32m", "").replace("\x1b[0m", "")
    assert (max(map(len, plain.splitlines())) <= 80) is wrapped


def test_watching_draws_in_place_in_a_terminal_only() -> None:
    """A terminal is cleared before each look; a file gets one look after the other."""
    assert shown(Terminal(), {}, again=True).startswith("\x1b[H\x1b[2J")
    assert "\x1b" not in shown(io.StringIO(), {}, again=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s ago"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"), (172800, "2 days ago")],
)
def test_ages(seconds: float, text: str) -> None:
    """The largest unit of which there are two; a clock that is behind gives no negative age."""
    assert age(seconds) == text


def test_sizes() -> None:
    """Megabytes with one digit, gigabytes from one on."""
    assert (megabytes(12_340_000), megabytes(1_500_000_000)) == ("12.3 MB", "1.50 GB")
