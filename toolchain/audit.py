"""`make audit`: asks pip-audit whether a locked package has a known vulnerability.

It looks at the image's lock, at the pins of this project, and at the toolchain's own two locks. A package that could
not be asked about is a failure: an answer that says nothing must not look like a clean one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from toolchain.errors import ToolchainError
from toolchain.places import ROOT
from toolchain.prefect_env import locked_python

LOCK = Path(__file__).parent / "audit.lock"
AUDITED = ("docker/prefect/requirements.lock", "constraints.txt", "toolchain/audit.lock", "toolchain/node.lock")
_FLAGS = ("--no-deps", "--disable-pip", "--strict", "--progress-spinner", "off")

Run = Callable[[Sequence[str | Path]], int]


def _run(argv: Sequence[str | Path]) -> int:
    return subprocess.run(argv, cwd=ROOT, check=False).returncode


def main(run: Run = _run) -> int:
    """Audit each lock; 0 only when all were asked about and none has a known vulnerability."""
    try:
        python = locked_python("audit", LOCK, "pip-audit")
    except ToolchainError as error:
        print(error, file=sys.stderr)
        return 1
    bad = []
    for name in AUDITED:
        print(f"auditing {name}", flush=True)
        # Pins with hashes need no look at what they depend on; others have all of it beside them.
        if run([python, "-m", "pip_audit", "-r", name, *_FLAGS]):
            bad.append(name)
    if bad:
        print(
            f"could not call {', '.join(bad)} free of known vulnerabilities: see above. Move what is named to a fixed "
            "version; where nothing could be asked, let this machine reach pypi.org.",
            file=sys.stderr,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
