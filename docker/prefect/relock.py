"""Compile requirements.in to requirements.lock (hashes, Python 3.11, linux/amd64) and show what moved.

Run from anywhere: ``python docker/prefect/relock.py``. Without ``--upgrade`` every version that still satisfies
requirements.in stays; ``--upgrade`` moves all of them, ``--upgrade-package NAME`` one. ``--check`` writes nothing and
exits 1 when the lock does not follow from requirements.in. The compiler lives in a throw-away virtual environment.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "requirements.in"
LOCK = HERE / "requirements.lock"

COMPILER = "uv==0.13.9"
# The glibc of Debian bookworm is 2.36; 2.28 is what the wheels of this set need at most.
PLATFORM = "x86_64-manylinux_2_28"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", re.MULTILINE)


def pins(text: str) -> dict[str, str]:
    """Name → version of every pinned requirement in a lock's text."""
    return dict(PIN.findall(text))


def moved(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """One line per package that came, went or changed its version; empty when nothing moved."""
    lines: list[str] = []
    for name in sorted(before | after):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        lines.append(f"{name}: {old or 'absent'} -> {new or 'absent'}")
    return lines


def compile_lock(target: Path, extra: list[str]) -> None:
    """Compile SOURCE into target, starting from what target already pins.

    Raises:
        subprocess.CalledProcessError: The requirements contradict one another or a package could not be found; the
            compiler has said which on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="relock-") as scratch:
        venv.create(scratch, with_pip=True)
        tools = Path(scratch) / "bin"
        subprocess.run([tools / "python", "-m", "pip", "install", "--quiet", COMPILER], check=True)
        # Wherever it was made, a lock says the same: it names no index.
        flags = ["--generate-hashes", "--no-emit-index-url", "--no-header", "--no-annotate", "--quiet"]
        platform = ["--python-version", "3.11", "--python-platform", PLATFORM]
        subprocess.run(
            [tools / "uv", "pip", "compile", SOURCE, *flags, *platform, *extra, "--output-file", target], check=True
        )


def main(argv: list[str] | None = None) -> int:
    """Re-lock and print what moved; the exit code is 1 only for ``--check`` with a stale lock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("--upgrade-package", action="append", default=[], metavar="NAME")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    extra = ["--upgrade"] if arguments.upgrade else []
    for name in arguments.upgrade_package:
        extra += ["--upgrade-package", name]
    before = LOCK.read_text() if LOCK.exists() else ""
    with tempfile.TemporaryDirectory(prefix="relock-") as scratch:
        target = Path(scratch) / LOCK.name
        if before:
            target.write_text(before)
        compile_lock(target, extra)
        after = target.read_text()
        if not arguments.check:
            shutil.copyfile(target, LOCK)
    lines = moved(pins(before), pins(after))
    sys.stdout.write("".join(f"{line}\n" for line in lines) or "nothing moved\n")
    return int(arguments.check and before != after)


if __name__ == "__main__":
    sys.exit(main())
