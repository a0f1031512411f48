"""Flags that several verbs share."""

from __future__ import annotations

import argparse
import json

from clients.endpoints import World

WAYS = ("workflow", "machines")


def endpoints(parser: argparse.ArgumentParser, *, of_stack: bool = False) -> None:
    """Add --endpoints; with `of_stack` it is None where a stack that is named may state it."""
    parser.add_argument(
        "--endpoints",
        choices=[world.value for world in World],
        default=None if of_stack else World.REAL.value,
        help="the world that the stack states; no address of the other one is ever used",
    )


def timeout(parser: argparse.ArgumentParser, seconds: float) -> None:
    """Add --timeout."""
    parser.add_argument("--timeout", type=positive_seconds, default=seconds, metavar="S", help="seconds to wait in all")


def server_app(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add --server-app."""
    parser.add_argument("--server-app", required=required, help="the server's Fly app")


def server_url(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add --server-url."""
    parser.add_argument("--server-url", required=required, help="public address of the server, without /api")


def redeploy(parser: argparse.ArgumentParser, *, older: bool = False) -> None:
    """Add what `redeploy` and `detach` share.

    Args:
        parser: the verb's.
        older: take the flags' names of before 0.1.0 as well; a destroy runs the text that an older state holds.
    """
    by = ("--by", "--mode") if older else ("--by",)
    app = ("--orchestrator-app", "--app") if older else ("--orchestrator-app",)
    parser.add_argument(*by, choices=WAYS, default="workflow", help="how the orchestrator is redeployed")
    parser.add_argument(*app, required=True, help="the orchestrator's Fly app")
    parser.add_argument("--repository", help="owner/name; needed with --by workflow")
    parser.add_argument("--workflow", help="the workflow's file name; needed with --by workflow")
    parser.add_argument("--ref", default="main", help="branch or tag that the workflow runs on")
    parser.add_argument(
        "--inputs",
        type=workflow_inputs,
        default={},
        metavar="JSON",
        help="inputs of the workflow; {nonce} in a value becomes different for every dispatch",
    )
    timeout(parser, 1200)


def workflow_inputs(text: str) -> dict[str, str]:
    """Read a JSON object of texts.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    try:
        read = json.loads(text)
    except ValueError:
        read = None
    if not isinstance(read, dict) or not all(isinstance(value, str | int | float | bool) for value in read.values()):
        raise argparse.ArgumentTypeError('it must be a JSON object of texts, for example \'{"reason": "prefect"}\'')
    # GitHub takes inputs as texts; a boolean is spelled as in JSON.
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in read.items()}


def positive_seconds(text: str) -> float:
    """Read a number of seconds above 0.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds
