"""`make mutate`: changes the code that must not be wrong, one place at a time, and names the changes no test notices.

mutmut takes a module's name from its path, and the image's package lies in docker/prefect: so it works in a copy of the
checkout in which that package is below src/, where it is found by its name. What is changed and which tests run stands
in pyproject.toml.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from toolchain.places import KEEP, ROOT, VENV

_COPY = KEEP / "mutate"
_PACKAGE = Path("docker/prefect/prefect_server")
_NOT_ASKED_FOR = ": not checked"
MUTATED = (
    "clients.*",
    "prefect_server.*",
    "providers.*ǁdiff__mutmut_*",
    *(
        f"providers.{name}__mutmut_*"
        for name in (
            "fly_machine_state.x_config_changed",
            "fly_machine_state.x_seen",
            "fly_machine_state.x_state_drift",
            "fly_secrets_state.x_drift",
            "fly_secrets_state.x_values_changed",
            "lifecycle.x_adopting",
            "lifecycle.x_changed",
            "lifecycle.x_difference",
            "lifecycle.x_plain",
            "lifecycle.x_unknown",
        )
    ),
)
"""Names of mutants: of the providers only what compares."""


def main(argv: Sequence[str] | None = None, copy: Path = _COPY) -> int:
    """Run the mutants whose names fit; 0 when the tests notice each of them."""
    parser = argparse.ArgumentParser(prog="python -m toolchain.mutate", description="Mutation tests.")
    parser.add_argument("names", nargs="*", default=MUTATED, help='"clients.redaction.*"; all without it')
    parser.add_argument("--jobs", default=str(os.cpu_count() or 1))
    flags = parser.parse_args(argv)
    copied(ROOT, copy)
    mutmut = [VENV / "bin" / "mutmut"]
    code = subprocess.run(
        [*mutmut, "run", "--max-children", flags.jobs, *flags.names], cwd=copy, check=False
    ).returncode
    if code:
        return code
    listed = subprocess.run([*mutmut, "results"], cwd=copy, check=True, capture_output=True, text=True).stdout
    left = [line.strip() for line in listed.splitlines() if not line.endswith(_NOT_ASKED_FOR)]
    print("\n".join([f"{len(left)} changes that no test notices", *left]))
    return 1 if left else 0


def copied(root: Path, copy: Path) -> None:
    """Copy the files that git knows of, the image's package to where its name is its path."""
    shutil.rmtree(copy, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True).stdout
    for name in map(Path, listed.splitlines()):
        inside = name.is_relative_to(_PACKAGE)
        target = copy / ("src" / name.relative_to(_PACKAGE.parent) if inside else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target)


if __name__ == "__main__":
    sys.exit(main())
