"""How a step talks to the workflow that runs it: outputs, environment and the summary page, all files that it names."""

from __future__ import annotations

import os
from pathlib import Path


def output(name: str, value: str) -> None:
    """Set an output of the step."""
    _append("GITHUB_OUTPUT", f"{name}={_one_line(value)}\n")


def environment(name: str, value: str) -> None:
    """Set a variable for the steps that follow."""
    _append("GITHUB_ENV", f"{name}={_one_line(value)}\n")


def summary(text: str) -> None:
    """Show Markdown on the run's page."""
    _append("GITHUB_STEP_SUMMARY", f"{text}\n")


def _append(variable: str, text: str) -> None:
    # On a person's machine nothing names the file, and nothing needs to be told.
    path = os.environ.get(variable)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def _one_line(value: str) -> str:
    # A line break would let a value set other names as well.
    return " ".join(value.splitlines())
