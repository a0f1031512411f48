"""Which `pulumi` is used: one on PATH that fits, with its real plugins, or else the one built here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
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
    """The first official `pulumi` on PATH, unless it is of another version or lacks its Python language host."""
    if os.environ.get(CHOICE_VARIABLE) == "build":
        return None
    search = path_without_built(os.environ.get("PATH", "") if path is None else path)
    found = next(_official(search), None)
    if found is None or not fits(_version_of(found)):
        return None
    beside = found.resolve().parent / "pulumi-language-python"
    if not beside.exists() and shutil.which("pulumi-language-python", path=search) is None:
        return None
    return found


def is_built(path: str | Path) -> bool:
    """Whether a path is of a toolchain built here or in another checkout, also behind a link."""
    return KEEP.name in Path(path).parts or KEEP.name in Path(path).resolve().parts


def path_without_built(path: str) -> str:
    """PATH without the folders that `toolchain/env.sh` of any checkout put there: what is in them is not official."""
    return os.pathsep.join(part for part in path.split(os.pathsep) if part and not is_built(part))


def environment_without_built() -> dict[str, str]:
    """What an official CLI needs set where a shell still has the variables of a built toolchain.

    With them it would load stand-ins instead of its own plugins. They are set to what they are by default, not unset,
    so that whoever adds to an environment gets them right as well.
    """
    home = os.environ.get("PULUMI_HOME")
    if not home or not is_built(home):
        return {}
    return {"PULUMI_HOME": str(Path.home() / ".pulumi"), "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false"}


def _official(search: str) -> Iterator[Path]:
    for folder in search.split(os.pathsep):
        found = shutil.which("pulumi", path=folder)
        if found is not None and not is_built(found):
            yield Path(found)


def _version_of(pulumi: Path) -> str:
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
