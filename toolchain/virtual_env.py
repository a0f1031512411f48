"""The project's own virtual environment, `.venv`, from the three pin files."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from toolchain.errors import BuildFailedError
from toolchain.locks import exclusive
from toolchain.places import KEEP, ROOT, VENV
from toolchain.progress import Step, run_step

PIN_FILES = ("requirements.txt", "requirements-dev.txt", "constraints.txt")
_WANTED_PYTHON = (3, 11)
_STAMP = "pins"


def ensure_venv(root: Path = ROOT, venv: Path = VENV) -> Path:
    """Python of the virtual environment, with every pin installed; nothing happens while the pins are the same.

    Raises:
        BuildFailedError: this is not Python 3.11, or pip refused a pin.
    """
    if sys.version_info[:2] != _WANTED_PYTHON:
        have = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise BuildFailedError(
            f"could not make .venv with Python {have}: install Python 3.11 (make PYTHON=/path/to/it)."
        )
    if _stamp_of(venv) != pins_hash(root):
        with exclusive("venv"):
            if _stamp_of(venv) != pins_hash(root):
                _install(root, venv)
    return venv / "bin" / "python"


def pins_hash(root: Path) -> str:
    """What the environment depends on."""
    digest = hashlib.sha256(sys.version.encode())
    for name in PIN_FILES:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()


def _stamp_of(venv: Path) -> str:
    stamp = venv / _STAMP
    return stamp.read_text() if stamp.is_file() and (venv / "bin" / "python").exists() else ""


def _install(root: Path, venv: Path) -> None:
    log = KEEP / "logs" / "venv.log"
    log.unlink(missing_ok=True)
    step = Step("installing the pinned Python packages into .venv")
    steps: list[list[str | Path]] = []
    if not (venv / "bin" / "python").exists():
        base = Path(sys.base_prefix) / "bin" / "python3.11"
        steps.append([base if base.exists() else sys.executable, "-m", "venv", "--clear", venv])
    pip: list[str | Path] = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--no-input",
        "--progress-bar=off",  # its drawings would be the last line said
    ]
    steps.append([*pip, "-r", "requirements.txt", "-r", "requirements-dev.txt", "-c", "constraints.txt"])
    for argv in steps:
        run_step(step, argv, cwd=root, env=os.environ, verb="install the pinned Python packages", log=log)
    (venv / _STAMP).write_text(pins_hash(root))
    step.done()
