"""The workflow gate: `python -m toolchain.workflows` runs actionlint (syntax, expressions) and zizmor (security).

actionlint is built once from its Go module. Where neither it nor a `go` can be had, as on a machine that
has an installed Pulumi CLI instead, its part is left out and said so; in CI that is a failure.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from toolchain.errors import NoBuilderError, ToolchainError
from toolchain.gobuild import build
from toolchain.pins import ACTIONLINT
from toolchain.places import ROOT, VENV

# Tools that actionlint would use if they happened to be installed: the same answer everywhere.
_ALONE = ("-shellcheck=", "-pyflakes=")


def main(root: Path = ROOT) -> int:
    """Run both and return the first exit code that is not 0."""
    codes = [_actionlint(root), _zizmor(root)]
    if not any(codes):
        print("workflows: nothing to complain about")
    return next((code for code in codes if code), 0)


def _actionlint(root: Path) -> int:
    try:
        program = shutil.which("actionlint") or str(build(ACTIONLINT) / ACTIONLINT.binary)
    except NoBuilderError as reason:
        print(f"workflows: actionlint is left out: {reason}", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1
    return subprocess.run([program, *_ALONE], cwd=root, check=False).returncode


def _zizmor(root: Path) -> int:
    # Offline: with a token in the environment it would ask GitHub, and answer differently from day to day.
    argv = [str(VENV / "bin" / "zizmor"), "--offline", "--quiet", "--no-progress", ".github"]
    return subprocess.run(argv, cwd=root, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
