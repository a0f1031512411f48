"""The virtual environment with exactly the packages of the server image, for the sandbox's process mode."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from toolchain.errors import BuildFailedError
from toolchain.locks import exclusive
from toolchain.places import KEEP, ROOT
from toolchain.progress import Step, run_step

LOCK_FILE = ROOT / "docker" / "prefect" / "requirements.lock"
_COMPLETE = "complete"


def prefect_python(lock_file: Path = LOCK_FILE) -> Path:
    """Python of a virtual environment made from the image's hashed lock; made first if this lock has none yet.

    The folder is `.toolchain/prefect-<hash of the lock>/`. Its scripts hold its path, so it cannot be renamed into
    place: a marker written last says that it is complete, and one without it is made anew.

    Raises:
        BuildFailedError: there is no lock, or pip refused it.
    """
    return locked_python("prefect", lock_file, "Prefect's locked packages for process mode (about a minute)")


def locked_python(kind: str, lock_file: Path, what: str) -> Path:
    """Python of the environment `.toolchain/<kind>-<hash of the lock>/`, made when this lock has none yet.

    Raises:
        BuildFailedError: there is no lock, or pip refused it.
    """
    if not lock_file.is_file():
        raise BuildFailedError(f"could not install {what}: {lock_file} is missing; check out the whole tree.")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fingerprint = hashlib.sha256(lock_file.read_bytes() + version.encode()).hexdigest()[:12]
    folder = KEEP / f"{kind}-{fingerprint}"
    python = folder / "bin" / "python"
    if (folder / _COMPLETE).is_file():
        return python
    with exclusive(folder.name):
        if not (folder / _COMPLETE).is_file():
            _make(folder, lock_file, what)
    return python


def _make(folder: Path, lock_file: Path, what: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    step = Step(f"installing {what}")
    log = KEEP / "logs" / f"{folder.name}.log"
    log.unlink(missing_ok=True)
    # A caller's own PYTHONPATH or pip options must not leak into an environment that mirrors the image.
    env = {key: value for key, value in os.environ.items() if not key.startswith("PIP_") and key != "PYTHONPATH"}
    env |= {key: value for key, value in os.environ.items() if key in _PIP_NETWORK}
    install: list[str | Path] = [
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--require-hashes",
        "--no-deps",
        "-r",
        lock_file,
    ]
    steps: list[list[str | Path]] = [[sys.executable, "-m", "venv", folder]]
    steps.append([*install, "--disable-pip-version-check", "--no-input", "--progress-bar=off"])
    for argv in steps:
        run_step(step, argv, cwd=folder.parent, env=env, verb="install locked packages", log=log)
    (folder / _COMPLETE).touch()
    step.done()


_PIP_NETWORK = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_CERT", "PIP_PROXY", "PIP_CACHE_DIR")
