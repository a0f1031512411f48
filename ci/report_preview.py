"""report-preview: write a preview as the pull request's comment, over the one of an earlier push."""

from __future__ import annotations

import argparse
from pathlib import Path

from ci.comment import marker
from ci.github import Repository


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--stack", required=True)
    parser.add_argument("--text", type=Path, required=True, help="what `preview` wrote")
    parser.add_argument("--pull-request", type=int, required=True, metavar="NUMBER")


def run(args: argparse.Namespace) -> int:
    """Write the comment and print its address."""
    repository = Repository.from_environment()
    text = args.text.read_text(encoding="utf-8")
    print(repository.put_comment(args.pull_request, text, marked=marker(args.stack)))
    return 0
