"""`python -m toolchain setup | install | env | official | which | run`; `setup` runs on a bare Python 3.11."""

from __future__ import annotations

import argparse
import os
import shlex
import sys

import toolchain
from toolchain import prefect_env, progress, pulumi_cli, virtual_env
from toolchain.errors import ToolchainError
from toolchain.official import require_official_plugins


def main(argv: list[str]) -> int:
    """Run one verb; a failure is one sentence on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m toolchain", description="Makes the project's tools ready.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("setup", help="make .venv, Prefect's environment and what install makes")
    verbs.add_parser("install", help="find or build the Pulumi CLI and its plugins")
    verbs.add_parser("env", help="print the export lines of a shell in which plain `pulumi` works")
    verbs.add_parser("official", help="install the real plugins with the official CLI on PATH")
    verbs.add_parser("which", help="print the path of the Pulumi CLI in use")
    run = verbs.add_parser("run", help="run a program in the environment that env prints")
    run.add_argument("program", nargs=argparse.REMAINDER)
    chosen = parser.parse_args(argv)
    try:
        return _run(chosen.program) if chosen.verb == "run" else _VERBS[chosen.verb]()
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1


def _setup() -> int:
    if pulumi_cli.fitting_pulumi() is None:
        progress.side_by_side(toolchain.ensure, _install_packages)
    else:
        # Nothing is compiled beside it, so pip's line may count the seconds.
        _install_packages()
    return 0


def _install_packages() -> None:
    virtual_env.ensure_venv()
    prefect_env.prefect_python()


def _install() -> int:
    print(f"pulumi: {toolchain.ensure()}")
    return 0


def _env() -> int:
    for name, value in toolchain.pulumi_env().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _official() -> int:
    print(f"pulumi: {require_official_plugins()}")
    return 0


def _which() -> int:
    print(toolchain.ensure())
    return 0


def _run(program: list[str]) -> int:
    if program:
        env = {**os.environ, **toolchain.pulumi_env()}
        os.execvpe(program[0], program, env)  # noqa: S606  replaces this process, so signals reach the program itself
    print("could not run: name a program, as in `python -m toolchain run pulumi preview`.", file=sys.stderr)
    return 2


_VERBS = {"setup": _setup, "install": _install, "env": _env, "official": _official, "which": _which}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
