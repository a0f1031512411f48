"""`python -m sandbox.demo up | rollback | stop`: what `make demo`, `make demo-rollback` and `make demo-stop` run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sandbox.daemon import DaemonError
from sandbox.demo import rollback, up
from sandbox.demo.stack import ROOT, DemoError
from sandbox.demo.world import World
from toolchain import ToolchainError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; a failure is one sentence on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description="The demo of this project.")
    parser.add_argument("verb", choices=("up", "rollback", "stop"))
    parser.add_argument("--home", type=Path, default=ROOT / ".sandbox", help="where everything is kept")
    parser.add_argument(
        "--driver", choices=("auto", "process", "container"), default="auto", help="what runs the machines"
    )
    args = parser.parse_args(argv)
    world = World(args.home.resolve(), args.driver)
    try:
        match args.verb:
            case "up":
                up.run(world)
            case "rollback":
                rollback.run(world)
            case "stop":
                world.stop()
    except (DaemonError, DemoError, ToolchainError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
