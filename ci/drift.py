"""drift: does what runs still look as stated? A preview with refresh, which writes nothing; drift is no failure."""

from __future__ import annotations

import argparse
from pathlib import Path

from ci import engine, runner
from ci.comment import change_table, counted

# GitHub takes 65,536 characters in an issue or a comment.
_LIMIT = 50_000
_CLEAN = "The last look found nothing that differs from what is stated."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--stack", required=True)
    parser.add_argument("--text", type=Path, required=True, help="the Markdown file to write")


def run(args: argparse.Namespace) -> int:
    """Look; the output `drift` says true or false, and the file says what it is."""
    outcome = engine.preview(args.stack, refresh=True)
    if outcome.failed:
        return 1
    counts = outcome.changes.counts()
    args.text.write_text(drift_text(outcome) if counts else _CLEAN, encoding="utf-8")
    runner.output("drift", "true" if counts else "false")
    return 0


def drift_text(outcome: engine.Outcome) -> str:
    """Return what the issue says."""
    said = counted(outcome.changes.counts())
    return (
        f"`pulumi preview --refresh` found what `pulumi up --refresh` would change: {said}.\n\n"
        f"{change_table(outcome.changes.changes)}\n\n````\n{outcome.text[-_LIMIT:]}\n````\n"
    )
