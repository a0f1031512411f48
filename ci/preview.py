"""preview: preview a stack under the policy pack, and write what a pull request's comment says of it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ci import engine, runner
from ci.comment import preview_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--stack", required=True)
    parser.add_argument("--text", type=Path, required=True, help="the Markdown file to write")
    parser.add_argument("--policy-pack", default=engine.POLICY_PACK)
    parser.add_argument("--throw-away", action="store_true", help="make the stack if the backend has none")


def run(args: argparse.Namespace) -> int:
    """Run the preview; the text is written also when it fails."""
    outcome = engine.preview(args.stack, policy_pack=args.policy_pack)
    text = preview_text(args.stack, outcome.changes, failed=outcome.failed)
    args.text.write_text(text, encoding="utf-8")
    runner.summary(text)
    return 1 if outcome.failed else 0
