"""`python -m ci <verb>`: one step of a workflow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from pulumi.automation import CommandError

from ci import backend, drift, preview, report_drift, report_preview, throw_away, up
from ci.errors import CiError

VERBS: dict[str, ModuleType] = {
    "backend": backend,
    "preview": preview,
    "report-preview": report_preview,
    "up": up,
    "drift": drift,
    "report-drift": report_drift,
    "throw-away": throw_away,
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    parser = argparse.ArgumentParser(prog="python -m ci", description=sys.modules["ci"].__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for name, module in VERBS.items():
        summary = (module.__doc__ or "").strip().partition("\n")[0].partition(": ")[2]
        module.add_arguments(verbs.add_parser(name, help=summary, allow_abbrev=False))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; a failure is one sentence on standard error and exit code 1."""
    args = build_parser().parse_args(argv)
    try:
        code: int = VERBS[args.verb].run(args)
    except (CiError, CommandError) as error:
        print(error, file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
