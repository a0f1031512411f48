"""Puts the plugins into the toolchain's own PULUMI_HOME, where the engine finds them without a warning."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from toolchain import gobuild, pins
from toolchain.errors import BuildFailedError
from toolchain.locks import exclusive
from toolchain.places import PULUMI_HOME, SCRATCH, SOURCES, VENV_PYTHON

STANDINS = {"command": pins.COMMAND_PLUGIN, "docker": pins.DOCKER_PLUGIN}
"""What there are stand-ins for, at the versions that they stand in for."""
_SCRIPT_BYTES = 4096


def install_all(pulumi: Path) -> None:
    """Install the GitHub plugin and the two stand-ins, each only if it is not there or was made differently."""
    with exclusive("plugins"):
        github = gobuild.build(pins.GITHUB) / pins.GITHUB.binary
        _install(pulumi, "github", pins.GITHUB_PLUGIN, github, stamp=github.parent.name)
        for name, version in STANDINS.items():
            launcher = _write_launcher(name)
            _install(pulumi, name, version, launcher, stamp=hashlib.sha256(launcher.read_bytes()).hexdigest())


def plugin_folder(name: str, version: str, home: Path = PULUMI_HOME) -> Path:
    """Where the engine looks for that plugin."""
    return home / "plugins" / f"resource-{name}-v{version}"


def _write_launcher(name: str) -> Path:
    """A stand-in runs from this checkout's sources and virtual environment, so only its address is installed."""
    launcher = SCRATCH / f"pulumi-resource-{name}"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(launcher_text(name))
    launcher.chmod(0o755)
    return launcher


def launcher_text(name: str) -> str:
    """The script that is a stand-in's whole plugin."""
    return f"#!/bin/sh\nexec '{VENV_PYTHON}' -u '{SOURCES / 'standins' / 'run.py'}' {name} \"$@\"\n"


def is_standin(plugin: Path) -> bool:
    """Whether a plugin is such a script, of this checkout or another."""
    return b"/standins/run.py" in plugin.read_bytes()[:_SCRIPT_BYTES]


def _install(pulumi: Path, name: str, version: str, binary: Path, *, stamp: str) -> None:
    folder = plugin_folder(name, version)
    stamp_file = PULUMI_HOME / "stamps" / f"{name}-{version}"
    if (folder / f"pulumi-resource-{name}").is_file() and stamp_file.is_file() and stamp_file.read_text() == stamp:
        return
    shutil.rmtree(folder, ignore_errors=True)
    argv = [str(pulumi), "plugin", "install", "resource", name, version, "--file", str(binary), "--reinstall"]
    env = {**os.environ, "PULUMI_HOME": str(PULUMI_HOME), "PULUMI_SKIP_UPDATE_CHECK": "1"}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise BuildFailedError(f"could not install plugin {name} {version}: {(done.stdout + done.stderr).strip()}")
    stamp_file.parent.mkdir(parents=True, exist_ok=True)
    stamp_file.write_text(stamp)
