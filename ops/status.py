"""status: for people, at any time: one screen about the server, the orchestrator and what watches them.

It changes nothing and prints no secret. What cannot be asked says so in its line; the rest is shown all the same.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from clients.endpoints import World
from ops import status_screen
from ops.arguments import positive_seconds
from ops.errors import OpsError
from ops.runtime import Runtime
from ops.status_parts import look
from ops.status_report import Report
from ops.status_stack import StatedStack

_WATCH_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags. The stack states its world, so there is no --endpoints."""
    parser.set_defaults(endpoints=World.REAL.value)
    parser.add_argument("stack", metavar="NAME", help="the stack's name")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=positive_seconds,
        const=_WATCH_SECONDS,
        metavar="S",
        help="look again every S seconds (10) until interrupted",
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON instead of a screen")


def run(args: argparse.Namespace, rt: Runtime) -> None:
    """Look, and show what was seen; again and again with --watch.

    Raises:
        OpsError: the stack cannot be read, or not all is well.
    """
    stack = StatedStack.named(args.stack)
    rt = replace(rt, world=stack.world)
    screen = status_screen.Screen.on(sys.stdout, rt.environ)
    while True:
        report = look(stack, rt)
        if args.json:
            screen.write(f"{report.to_json()}\n")
        else:
            screen.show(report, again=args.watch is not None)
        if args.watch is None:
            break
        try:
            rt.sleep(args.watch)
        except KeyboardInterrupt:
            break  # the way to end it; what the last look found is the answer
    _require_well(report)


def _require_well(report: Report) -> None:
    if report.well:
        return
    named = ", ".join(dict.fromkeys(line.part for line in report.lines if line.state in {"problem", "unknown"}))
    raise OpsError(f'could not call stack "{report.stack}" well: look at {named} above.')
