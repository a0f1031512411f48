"""up: bring a stack to what main states, under the policy pack, and show on the run's page what was done."""

from __future__ import annotations

import argparse

from ci import engine, runner
from ci.comment import change_table, counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--stack", required=True)
    parser.add_argument("--policy-pack", default=engine.POLICY_PACK)


def run(args: argparse.Namespace) -> int:
    """Run the update."""
    outcome = engine.up(args.stack, policy_pack=args.policy_pack)
    said = "it failed" if outcome.failed else counted(outcome.changes.counts())
    runner.summary(f"### Stack `{args.stack}`: {said}\n\n{change_table(outcome.changes.changes)}")
    return 1 if outcome.failed else 0
