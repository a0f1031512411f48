"""Which `pulumi` is used: one on PATH that fits, with its real plugins, or else the one built here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from toolchain.pins import REQUIRED_PULUMI
from toolchain.places import KEEP

CHOICE_VARIABLE = "PREFECT_FLY_TOOLCHAIN"
"""Set to "build" to ignore a `pulumi` on PATH; for a machine that has the CLI but cannot download plugins."""

Version = tuple[int, int, int]


def fits(version: str, required: str = REQUIRED_PULUMI) -> bool:
    """Whether a version such as "v3.260.1" lies in a range such as ">=3.259.0 <4.0.0"; a pre-release never does."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)(?:\+\S+)?", version.strip())
    if found is None:
        return False
    have = (int(found[1]), int(found[2]), int(found[3]))
    return all(_holds(have, clause) for clause in required.split())


def fitting_pulumi(path: str | None = None) -> Path | None:
    """The first `pulumi` on PATH, unless it is our own, of another version, or lacks its Python language host."""
    if os.environ.get(CHOICE_VARIABLE) == "build":
        return None
    search = path_without_ours(os.environ.get("PATH", "") if path is None else path)
    found = shutil.which("pulumi", path=search)
    if found is None or not fits(_version_of(found)):
        return None
    beside = Path(found).resolve().parent / "pulumi-language-python"
    if not beside.exists() and shutil.which("pulumi-language-python", path=search) is None:
        return None
    return Path(found)


def path_without_ours(path: str) -> str:
    """PATH without the folders this toolchain put there, so that its own build is never taken for an installed CLI."""
    keep = [part for part in path.split(os.pathsep) if part and not Path(part).resolve().is_relative_to(KEEP)]
    return os.pathsep.join(keep)


def _version_of(pulumi: str) -> str:
    env = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "1"}
    try:
        said = subprocess.run([pulumi, "version"], env=env, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout


def _holds(have: Version, clause: str) -> bool:
    matched = re.fullmatch(r"(>=|<=|>|<|=)(\d+)(?:\.(\d+))?(?:\.(\d+))?", clause)
    if matched is None:
        raise ValueError(f"not a version range: {clause!r}")
    bound = (int(matched[2]), int(matched[3] or 0), int(matched[4] or 0))
    return {
        ">=": have >= bound,
        "<=": have <= bound,
        ">": have > bound,
        "<": have < bound,
        "=": have == bound,
    }[matched[1]]
