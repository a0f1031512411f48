"""`python -m toolchain install | env | which`."""

from __future__ import annotations

import argparse
import shlex
import sys

import toolchain
from toolchain.errors import ToolchainError


def main(argv: list[str]) -> int:
    """Run one verb; a failure is one sentence on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m toolchain", description="Makes the project's tools ready.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("install", help="find or build the Pulumi CLI and its plugins")
    verbs.add_parser("env", help="print the export lines of a shell in which plain `pulumi` works")
    verbs.add_parser("which", help="print the path of the Pulumi CLI in use")
    chosen = parser.parse_args(argv)
    try:
        return _VERBS[chosen.verb]()
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1


def _install() -> int:
    print(f"pulumi: {toolchain.ensure()}")
    return 0


def _env() -> int:
    for name, value in toolchain.pulumi_env().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _which() -> int:
    print(toolchain.ensure())
    return 0


_VERBS = {"install": _install, "env": _env, "which": _which}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
