"""report-drift: open, extend or close the issue about a stack's drift. While a deploy runs, nothing is concluded."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ci.github import Repository

DEPLOY = "deploy.yml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--stack", required=True)
    parser.add_argument("--text", type=Path, required=True, help="what `drift` wrote")
    parser.add_argument("--drift", choices=("true", "false"), required=True, help="the output of `drift`")


def run(args: argparse.Namespace) -> int:
    """Tell what was seen."""
    repository = Repository.from_environment()
    if repository.busy(DEPLOY):
        print(f"::notice::{DEPLOY} is under way, so what was seen may be half of it; the next run looks again.")
        return 0
    title = f"Drift on stack {args.stack}"
    text = f"{args.text.read_text(encoding='utf-8')}\nSeen by {_run_url()}\n"
    number = repository.open_issue(title)
    if args.drift == "true":
        print(repository.new_issue(title, text) if number is None else repository.comment(number, text))
    elif number is not None:
        repository.comment(number, text)
        repository.close_issue(number)
    return 0


def _run_url() -> str:
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    return f"{server}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ.get('GITHUB_RUN_ID', '')}"
