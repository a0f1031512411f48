"""The tools the project needs: the Pulumi engine with its plugins, Prefect's environment, a registry, a Docker engine.

Callers need two functions: `ensure()` makes Pulumi ready, `pulumi_env()` is the environment in which plain
`pulumi up -s prod` works. docs/toolchain.md says what is built when, and from what.
"""

from __future__ import annotations

import os
from pathlib import Path

from toolchain import gobuild, official, pins, plugins, pulumi_cli
from toolchain.errors import NoBuilderError, ToolchainError
from toolchain.places import BIN, PULUMI_HOME, VENV

__all__ = ["NoBuilderError", "ToolchainError", "ensure", "ensure_with_plugins", "folder_backend", "pulumi_env"]


def ensure() -> Path:
    """Make Pulumi ready and give the path of its CLI: the fitting one on PATH, or else the one built here.

    Raises:
        ToolchainError: neither can be had; the text says what to install.
    """
    found = pulumi_cli.fitting_pulumi()
    if found is not None:
        return found
    parts = [gobuild.build(spec) for spec in (pins.LANGUAGE_PYTHON, pins.PULUMI)]
    engine = gobuild.assemble("engine", parts)
    _point(BIN / "pulumi", engine / "pulumi")
    plugins.install_all(BIN / "pulumi")
    return BIN / "pulumi"


def ensure_with_plugins() -> Path:
    """Make Pulumi ready as `ensure` does, and download the plugins that an official CLI would download while it works.

    Raises:
        ToolchainError: something cannot be had; the text says what to do.
    """
    pulumi = ensure()
    if pulumi.parent != BIN:
        official.ensure_plugins(pulumi)
    return pulumi


def pulumi_env() -> dict[str, str]:
    """What to add to the environment of a process that runs `pulumi`; makes Pulumi ready first.

    The virtual environment's bin comes first on PATH (the built language host finds Python there and nowhere else).
    PULUMI_HOME and the plugin settings are set for a built toolchain, and set back for an official CLI in a shell that
    has them from a built one; a backend is never chosen here.
    """
    built = ensure().parent == BIN
    theirs = pulumi_cli.path_without_built(os.environ.get("PATH", ""))
    folders = [str(VENV / "bin"), *([str(BIN)] if built else []), theirs]
    env = {"PATH": os.pathsep.join(folders), "VIRTUAL_ENV": str(VENV), "PULUMI_SKIP_UPDATE_CHECK": "1"}
    if built:
        return env | {"PULUMI_HOME": str(PULUMI_HOME), "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
    return env | pulumi_cli.environment_without_built()


def folder_backend(folder: Path) -> str:
    """Return the PULUMI_BACKEND_URL that keeps the state in a folder, and in one file for each stack.

    Without the parameter a second file lies beside each, which is not written in one step: an engine that is killed
    meanwhile leaves it empty, and every later command ends with "failed to load checkpoint: EOF" (docs/state.md).
    """
    return f"file://{folder.resolve()}?metadata=skip"


def _point(link: Path, file: Path) -> None:
    """Make a link name that file; the rename makes the change in one step.

    Only `pulumi` itself is on PATH: the engine finds its other parts beside the real file, where it does not warn.
    """
    if link.is_symlink() and link.readlink() == file:
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(file)
    fresh.replace(link)
